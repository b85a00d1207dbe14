"""``avse models``: list, show, verify, and convert a run to a model."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small_world import stirred, tiny
from typer.testing import CliRunner

from avse.weights import pretrained
from avse.weights.checkpoint import load_checkpoint, save_checkpoint
from avse.weights.metadata import read_metadata
from avse_cli.main import app

TRAINED = {
    "training": {"seed": 3},
    "step": 70,
    "validation": {"validation/improvement_db/seen": 4.25, "validation/improvement_db/unseen": 3.0},
}


def avse(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The best checkpoint of a training run."""
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, stirred(tiny()), TRAINED)
    return path


@pytest.fixture
def shipped(tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with two nets, one of them in the list of hashes, and with a card."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(pretrained, "files", lambda package: folder)
    for name in ("avse", "other"):
        shutil.copy(run, folder / f"{name}.safetensors")
    (folder / "SHA256SUMS").write_text(f"{hashlib.sha256(run.read_bytes()).hexdigest()}  avse.safetensors\n")
    (folder / "avse.md").write_text("# The card\n")
    return folder


def test_list_shows_size_parameters_fusion_and_scores(shipped: Path) -> None:
    lines = avse("list").stdout.splitlines()
    assert lines[0].split()[:4] == ["name", "size", "parameters", "fusion"]
    assert [line.split()[0] for line in lines[1:]] == ["avse", "other"]
    assert "mmtm" in lines[1]
    assert "SI-SDR +4.2 with video, +3.0 without (dB)" in lines[1]
    assert avse().stdout == avse("list").stdout


def test_list_for_machines(shipped: Path) -> None:
    listed = json.loads(avse("--json").stdout)
    assert list(listed) == ["avse", "other"]
    net = load_checkpoint(shipped / "avse.safetensors").net
    assert listed["avse"]["num_parameters"] == sum(values.numel() for values in net.parameters())
    assert listed["avse"]["num_bytes"] == (shipped / "avse.safetensors").stat().st_size
    assert listed["avse"]["about"]["step"] == 70


def test_show_gives_the_card_or_the_header(shipped: Path, run: Path) -> None:
    assert avse("show", "avse").stdout == "# The card\n\n"
    assert '{"seed": 3}' in avse("show", run).stdout
    assert json.loads(avse("show", run, "--json").stdout)["about"]["training"] == {"seed": 3}


def test_verify_all_and_one(shipped: Path, run: Path) -> None:
    assert [line.endswith(": ok") for line in avse("verify").stdout.splitlines()] == [True, True]
    assert avse("verify", run).stdout == f"{run}: ok\n"


def test_verify_finds_a_replaced_file_though_it_loads(shipped: Path) -> None:
    save_checkpoint(shipped / "avse.safetensors", stirred(tiny()), TRAINED)
    done = avse("verify", "avse")
    assert done.exit_code == 1
    assert "differs from the file that was shipped" in done.stderr


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_verify_finds_a_damaged_file(shipped: Path, share: float) -> None:
    data = (shipped / "other.safetensors").read_bytes()
    (shipped / "other.safetensors").write_bytes(data[: int(share * len(data))])
    done = avse("verify", "other")
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 2)


@pytest.mark.parametrize("command", ["show", "verify", "list"])
def test_a_pickle_is_refused_with_a_hint(shipped: Path, command: str) -> None:
    path = shipped / "pickle.safetensors"
    torch.save({"weight": torch.zeros(3)}, path)
    done = avse(command, *([] if command == "list" else [path]))
    assert done.exit_code == 1
    assert "never read" in done.stderr


def test_convert_makes_a_model_to_ship(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    done = avse("convert", run, "-o", output, "--name", "mine", "--data", "drawn", "--licence", "CC0")
    assert (done.exit_code, done.stderr) == (0, "")
    before, after = load_checkpoint(run), load_checkpoint(output)
    assert {key: after.about[key] for key in (*TRAINED, "name", "data", "licence")} == {
        **TRAINED, "name": "mine", "data": "drawn", "licence": "CC0",
    }  # fmt: skip
    assert read_metadata(output).num_bytes < 0.75 * read_metadata(run).num_bytes
    for name, value in before.net.state_dict().items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(after.net.state_dict()[name], expected)


def test_convert_writes_nothing_where_it_must_not(run: Path, tmp_path: Path) -> None:
    names = ["--name", "mine", "--data", "drawn", "--licence", "CC0"]
    before = run.read_bytes()
    assert avse("convert", run, "-o", tmp_path / "dry.safetensors", *names, "--dry-run").exit_code == 0
    assert avse("convert", "avse", "-o", tmp_path / "dry.safetensors", *names, "--dry-run").exit_code == 0
    assert avse("convert", run, "-o", run, *names, "--force").exit_code == 2
    assert avse("convert", run, "-o", tmp_path / "mine.pt", *names).exit_code == 2
    assert avse("convert", run, "-o", tmp_path / "mine.safetensors").exit_code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]
    assert run.read_bytes() == before


@pytest.mark.parametrize("command", ["prune", "average", "convert"])
def test_models_are_written_under_names_that_can_be_used(run: Path, tmp_path: Path, command: str) -> None:
    names = [str(run), str(run)] if command == "average" else [str(run)]
    more = {
        "prune": ["--audio-channels", "1,1,1,1,1,1", "--lip-width", "1"],
        "average": [],
        "convert": ["--name", "x", "--data", "drawn", "--licence", "CC0"],
    }
    shown = CliRunner().invoke(app, ["models", command, *names, "-o", str(tmp_path / "new"), *more[command]])
    assert (shown.exit_code, len(shown.stderr.splitlines())) == (2, 2), shown.output
    assert "is not a .safetensors file" in shown.stderr
    assert not (tmp_path / "new").exists()


def test_shipped_nets_are_the_listed_ones() -> None:
    """After new weights: cd checkpoints && sha256sum *.safetensors > SHA256SUMS"""
    assert set(pretrained.shipped_sums()) == {f"{name}.safetensors" for name in pretrained.names()}
    for name in pretrained.names():
        pretrained.verify(name)
        assert pretrained.card(name).startswith("# ")


def test_listing_needs_no_torch() -> None:
    code = "from avse_cli.main import app; app(['models', 'show', 'avse', '--json'], standalone_mode=False)"
    heavy = "import sys; print({'torch', 'librosa', 'scipy'} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{heavy}"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["num_parameters"] > 1e6
    assert done.stderr == "set()\n"


@pytest.mark.parametrize(("former", "present"), [("narrow", "prune"), ("mean", "average")])
def test_former_names_of_commands_work_and_are_hidden(former: str, present: str) -> None:
    listed = [line.split()[0] for line in avse("--help").stdout.splitlines() if line.startswith("  ") and line.strip()]
    assert present in listed
    assert former not in listed
    first, *rest = avse(former, "--help").stdout.splitlines()
    assert f" {former} " in first
    assert rest == avse(present, "--help").stdout.splitlines()[1:]
