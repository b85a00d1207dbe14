"""`avse prepare`, then `avse train`, then `avse train` again: from recordings to weights on the command line."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from small_world import assert_same
from typer.testing import CliRunner

from avse.data.dataset import Batch
from avse.data.synthetic.clips import make_clip
from avse.training.config import read_config
from avse.training.recipe import read_recipe
from avse.training.trainer import Trainer
from avse.weights.checkpoint import load_checkpoint
from avse_cli.main import app

SETTINGS = """
batch_size: 2
num_validation_batches: 1
validate_every: 100
mix: {num_frames: 5, num_talkers: [1.0]}
model: {audio_channels: [5, 6, 7, 8], lip_width: 5}
num_workers: 0
"""

pytestmark = pytest.mark.usefixtures("one_process")


class World:
    def __init__(self, folder: Path) -> None:
        self.folder, self.tree, self.cache = folder, folder / "tree", folder / "cache"
        for seed, name in enumerate(("id1/a/1", "id1/a/2", "id2/a/1", "id2/a/2")):
            path = self.tree / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            make_clip(path, 1.02, seed)
        self.settings = folder / "tiny.yaml"
        self.settings.write_text(SETTINGS)
        self.prepared = avse("prepare", str(self.tree), "-o", str(self.cache), "-j", "1")

    def train(self, run: str, *options: str) -> tuple[int, str, str]:
        basis = ("train", "--data", str(self.cache), "--run", str(self.folder / run), "--config", str(self.settings))
        return avse(*basis, "--val-speakers", "id2", *options)


def avse(*arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, one_process: None) -> World:
    return World(tmp_path_factory.mktemp("world"))


def last_step(world: World, run: str) -> int:
    return int(torch.load(world.folder / run / "last.pt", weights_only=True)["step"])


def test_prepare(world: World) -> None:
    assert world.prepared[:2] == (0, f"4 clips in {world.cache}\n")
    assert len(list(world.cache.glob("*/*.npz"))) == 4


def test_train_and_go_on(world: World) -> None:
    code, out, err = world.train("run", "--steps", "3", "--preset", "msaf")
    best = world.folder / "run" / "best.safetensors"
    assert (code, out) == (0, f"{best}\n")
    assert "step 3/3  validation  improvement_db/seen " in err
    assert list((world.folder / "run").glob("events.out.tfevents.*"))
    assert (load_checkpoint(best).about["step"], last_step(world, "run")) == (3, 3)
    assert load_checkpoint(best).net.config.fusion == "msaf"
    code, _, err = world.train("run", "--steps", "5", "--preset", "msaf")
    assert code == 0
    assert "steps 3 to 5, " in err
    assert last_step(world, "run") == 5


def test_smil(world: World) -> None:
    code, _, err = world.train("smil-as-it-comes", "--steps", "1", "--smil")
    assert (code, "are too few for 64 priors" in err) == (2, True)
    own = world.folder / "smil.yaml"
    own.write_text(SETTINGS.replace("lip_width: 5", "lip_width: 5, num_priors: 3"))
    alone = ("--steps", "1", "--smil", "--config", str(own))
    voices = shutil.copytree(world.cache, world.folder / "voices")
    (voices / "id2").rename(voices / "id3")
    code, out, err = world.train("smil", *alone, "--audio-only-data", str(voices))
    assert code == 0
    assert "improvement_db/unseen" in err
    net = load_checkpoint(Path(out.strip())).net
    assert (net.config.imputer, net.config.regulariser) == ("reference", "multiply")
    assert net.imputer.priors.abs().sum() > 0
    code, _, err = world.train("plain", "--steps", "1", "--audio-only-data", str(world.cache))
    assert (code, "--smil" in err) == (2, True)


def test_the_lips_first_then_the_whole_net_from_them(world: World) -> None:
    code, out, err = world.train("lips", "--steps", "1", "--stage", "lips")
    assert code == 0
    assert "lips/correlation" in err
    code, _, _ = world.train("joint", "--steps", "1", "--start-from", out.strip(), "--quiet")
    assert code == 0


def test_scores_of_speakers_that_are_trained_on_are_called_so(world: World) -> None:
    code, _, err = world.train("all", "--steps", "1", "--preset", "none", "--val-speakers", "")
    assert (code, "of training speakers" in err) == (0, True)


def test_quiet(world: World) -> None:
    assert world.train("quiet", "--steps", "1", "--preset", "none", "--quiet") == (0, "", "")


def test_time_that_is_up(world: World) -> None:
    code, _, err = world.train("short", "--steps", "1000", "--max-hours", "0")
    assert (code, last_step(world, "short")) == (0, 1)
    assert "step 1/1000  validation  " in err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--preset", "glue"], 2, "no fusion called 'glue'"),
        (["--stage", "nose"], 2, "nose"),
        (["--stage", "lips", "--preset", "none"], 2, "no lip stream"),
        (["--val-speakers", "id9"], 2, "id9"),
        (["--val-speakers", "id1,id2"], 2, "no talkers to train on"),
        (["--config", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["--start-from", "nowhere.safetensors"], 1, "nowhere.safetensors"),
        (["--voices", "nowhere"], 2, "nowhere"),
        (["--data", "nowhere"], 2, "nowhere"),
        (["--set", "num_stepps=3"], 2, "num_stepps"),
        (["--recipe", "avse"], 2, "--config"),
    ],
)
def test_what_makes_no_sense_is_two_lines(world: World, options: list[str], code: int, said: str) -> None:
    found, out, err = world.train("wrong", "--steps", "1", *options)
    assert (found, out) == (code, "")
    assert said in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("target", ["loop", "absent", "file"])
def test_a_missing_folder_is_an_error_before_torch_is_imported(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to(target)
    at_exit = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules))"
    code = f"{at_exit}; from avse_cli.main import app; app()"
    command = [sys.executable, "-c", code, "train", "--data", "loop", "--run", "run"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (shown.returncode, shown.stdout, len(shown.stderr.splitlines())) == (2, "False\n", 2)
    assert shown.stderr.startswith("avse: ")
    assert not (tmp_path / "run").exists()


def test_a_recipe_trains_all_stages_and_is_resumed(world: World) -> None:
    recipe = world.folder / "recipe.yaml"
    settings = "".join(f"  {line}\n" for line in SETTINGS.strip().splitlines())
    recipe.write_text(f"settings:\n{settings}  save_minutes: 0\nstages: {{lips: {{stage: lips}}, net: {{seed: 3}}}}")
    run = world.folder / "stages"
    command = ("train", "--recipe", str(recipe), "--data", str(world.cache), "--val-speakers", "id2", "--run", str(run))
    code, out, err = avse(*command, "--steps", "2", "--max-hours", "0")
    assert (code, out, err.splitlines()[-1]) == (0, "", f"Time is up: the same command resumes {run}.")
    assert killed_at(2, run / "net", *command, "--steps", "2") == -signal.SIGKILL
    code, out, err = avse(*command, "--steps", "2")
    assert (code, out) == (0, f"{run / 'best.safetensors'}\n")
    assert [line for line in err.splitlines() if " of 2: " in line] == ["stage 1 of 2: lips", "stage 2 of 2: net"]
    assert "steps 1 to 2, " in err
    found = load_checkpoint(run / "best.safetensors")
    assert found.about["training"]["seed"] == 3
    assert avse(*command[:-1], str(world.folder / "at once"), "--steps", "2")[0] == 0
    expected = load_checkpoint(world.folder / "at once" / "best.safetensors")
    assert_same(found.net.state_dict(), expected.net.state_dict())


def killed_at(step: int, run: Path, *command: str) -> int:
    """Exit code of a command in a process of its own, which dies before it takes a step of a run."""

    def die() -> None:
        learn = Trainer.learn

        def once_more(self: Trainer, *batches: Batch) -> dict[str, float]:
            if (self.run, self.step + 1) == (run, step):
                os.kill(os.getpid(), signal.SIGKILL)
            return learn(self, *batches)

        Trainer.learn = once_more  # type: ignore[method-assign]
        avse(*command)

    child = multiprocessing.get_context("fork").Process(target=die)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork beside threads
        child.start()
    child.join(120)
    child.kill()  # only if it hangs
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def test_settings_are_printed_without_data(world: World, tmp_path: Path) -> None:
    code, out, err = avse("train", "--config", "long", "--set", "learning_rate=3e-4", "--steps", "7", "--print-config")
    assert (code, err) == (0, "")
    (tmp_path / "printed.yaml").write_text(out)
    expected = read_config("long", ["learning_rate=3e-4"], num_steps=7)
    assert read_config(tmp_path / "printed.yaml") == expected
    code, out, err = avse("train", "--recipe", "avse", "--preset", "asym", "--print-config")
    trained = [stage for stage in read_recipe("avse") if stage.config is not None]
    assert (code, err, out.count("fusion: asym")) == (0, "", len(trained))
    code, out, err = avse("train", "--config", "long")
    assert (code, out, "--data" in err, len(err.splitlines())) == (2, "", True, 2)


def test_a_misspelt_validation_speaker_is_reported_the_nearest_ones(world: World) -> None:
    code, _, err = world.train("misspelt", "--val-speakers", "ld2")
    assert code == 2
    assert err.splitlines()[1].strip() == "Nearest: id2."


def test_a_run_with_other_settings_is_not_continued(world: World) -> None:
    assert world.train("settled", "--steps", "1", "--preset", "cwc")[0] == 0
    code, _, err = world.train("settled", "--steps", "2", "--preset", "mmtm")
    assert code == 2
    assert "settled" in err
    assert len(err.splitlines()) == 2


def test_a_run_with_other_validation_speakers_is_not_continued(world: World) -> None:
    assert world.train("people", "--steps", "1", "--preset", "none")[0] == 0
    code, _, err = world.train("people", "--steps", "2", "--preset", "none", "--val-speakers", "id1")
    assert (code, last_step(world, "people")) == (2, 1)
    assert "--val-speakers" in err
    assert len(err.splitlines()) == 2


def test_a_bad_recording_is_reported_and_counted(world: World, tmp_path: Path) -> None:
    (tmp_path / "tree" / "id1").mkdir(parents=True)
    (tmp_path / "tree" / "id1" / "broken.mp4").write_bytes(b"no film" * 99)
    code, out, _ = avse("prepare", str(tmp_path / "tree"), "-o", str(tmp_path / "cache"), "-j", "1")
    assert code == 1
    assert out == f"0 clips in {tmp_path / 'cache'}; 1 left out, see {tmp_path / 'cache' / 'bad.csv'}\n"
