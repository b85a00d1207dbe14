"""Training on several devices: shares that add up, weights that stay the same everywhere, one voice that reports."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import two_ranks
from small_world import assert_same, tiny, write_cache

from avse.data.dataset import Batch, Batches
from avse.data.mix_config import MixConfig
from avse.data.online_mixing import Mixer
from avse.data.prepared_clips import find_clips
from avse.errors import UsageError
from avse.models.fusion import FUSIONS
from avse.models.net import SpeechNet
from avse.training import distributed, trainer
from avse.training.config import LOSS_WEIGHTS, TrainConfig
from avse.training.steps import speech_step, total_loss
from avse.weights.checkpoint import load_checkpoint

HELPERS = Path(__file__).parents[1] / "helpers"
ALONE = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST"))}


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cache(tmp_path_factory.mktemp("faces"), speakers=4, num_frames=20)


@pytest.fixture(scope="module")
def two(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of all runs in `two_ranks`."""
    output = tmp_path_factory.mktemp("two")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, str(HELPERS / "two_ranks.py"), str(faces), str(output)]
    done = subprocess.run(command, capture_output=True, text=True, env=ALONE | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return output


def weights(output: Path, stage: str, way: str, rank: int = 0) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(output / f"{stage}-{way}-{rank}.pt", weights_only=True)
    return found


@pytest.mark.parametrize(("stage", "way"), two_ranks.CASES)
def test_all_processes_hold_the_same_weights(two: Path, stage: str, way: str) -> None:
    assert_same(weights(two, stage, way, 0), weights(two, stage, way, 1))


@pytest.mark.parametrize("stage", two_ranks.RUNS)
def test_two_processes_go_on_bit_for_bit(two: Path, stage: str) -> None:
    assert_same(weights(two, stage, "halves"), weights(two, stage, "trained"))


@pytest.mark.parametrize("stage", ["speech", "lips"])
def test_two_shares_teach_what_the_whole_batch_teaches(
    two: Path, faces: Path, tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64: the sums are in another order, and AdamW divides by gradients that may be as small as its epsilon.

    In float32 the weights differ by up to 2e-6 for that reason.
    """
    monkeypatch.setattr(trainer, "VALIDATION_BATCH_SIZE", 2)
    config, folders = two_ranks.RUNS[stage], two_ranks.small_folders(faces)
    with two_ranks.double_precision():
        still = two_ranks.two_steps(replace(config, learning_rate=0.0), folders, tmp_path / "still", True)
        alone = two_ranks.two_steps(config, folders, tmp_path / "alone", True)
    together = weights(two, stage, "in-use")
    moved = max(float((alone[name] - still[name]).abs().max()) for name in alone if alone[name].is_floating_point())
    assert moved > 2e-3
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("visible", [0, 3, 6])
def test_every_weight_has_a_gradient_in_stage_speech(
    fusion: str, visible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`DistributedDataParallel` waits for all of them, whatever is visible in a process's share."""
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    helpers = {} if fusion == "none" else {"imputer": "blended", "regulariser": "multiply", "num_priors": 4}
    net = SpeechNet(tiny(fusion, **helpers, attention_heads=2, bottleneck_rounds=2)).train()
    seen = torch.arange(6).expand(2, 6) < visible
    crops = torch.randint(1, 255, (2, 6, 88, 88), dtype=torch.uint8) * seen[..., None, None]
    losses = speech_step(net, Batch(torch.randn(2, 3840), torch.randn(2, 3840), crops, seen))
    total_loss(losses, LOSS_WEIGHTS).backward()
    assert [name for name, weight in net.named_parameters() if weight.grad is None] == []


def test_shares_are_apart_and_add_up_to_the_batch(faces: Path) -> None:
    mixer = Mixer(find_clips(faces), {}, {}, MixConfig(num_frames=4))
    for index in (0, 1):
        whole = Batches(mixer, 5, 6, 3, 5)[index]
        shares = [Batches(mixer, 5, 6, 3, 5, share, 3)[index] for share in range(3)]
        for name in ("mixture", "target", "crops", "seen"):
            assert torch.equal(torch.cat([getattr(share, name) for share in shares]), getattr(whole, name))
        assert len({share.mixture.sum().item() for share in shares}) == 3


def test_a_batch_without_equal_shares() -> None:
    with pytest.raises(UsageError, match="16 cannot be divided equally among 3") as caught:
        TrainConfig(num_devices=3)
    assert "multiple of 3" in caught.value.hint
    with pytest.raises(UsageError, match="num_devices is 0"):
        TrainConfig(num_devices=0)


def test_who_was_started_by_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert (distributed.num_started(), distributed.is_first()) == (None, True)
    monkeypatch.setenv("LOCAL_RANK", "1")  # as Fabric starts a second process
    assert (distributed.num_started(), distributed.is_first()) == (None, False)
    for name, value in {"RANK": "4", "LOCAL_RANK": "0", "WORLD_SIZE": "8", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)  # torchrun, on the second machine
    assert (distributed.num_started(), distributed.is_first()) == (8, False)


def test_more_devices_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="2 devices were requested, but 1"):
        distributed.make_fabric(2, "32-true")


SBATCH = {"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1",
          "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}  # fmt: skip


@pytest.mark.parametrize("num_tasks", ["1", "4"])
@pytest.mark.parametrize("num_devices", [1, 2])
def test_devices_are_processes_of_our_own_in_a_job_of_slurm(
    num_devices: int, num_tasks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "TORCHELASTIC_RUN_ID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (SBATCH | {"SLURM_NTASKS": num_tasks}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert distributed.count_devices(num_devices) == num_devices
    fabric = distributed.make_fabric(num_devices, "32-true")
    assert fabric.world_size == num_devices
    if num_devices > 1:
        environment = fabric.strategy.cluster_environment
        environment.validate_settings(num_devices, 1)
        assert not environment.creates_processes_externally


def test_several_processes_of_srun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (SBATCH | {"SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "4"}).items():
        monkeypatch.setenv(name, value)
    assert distributed.count_devices(1) == 1  # four runs, each on its own
    with pytest.raises(UsageError, match="srun started 4 processes, and each of them would start 2") as caught:
        distributed.count_devices(2)
    assert "torchrun" in caught.value.hint
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert distributed.count_devices(2) == 2


def test_as_many_processes_as_devices() -> None:
    fabric: Any = SimpleNamespace(launch=lambda: None, world_size=1)
    distributed.launch(fabric, 1)
    with pytest.raises(UsageError, match="2 devices were requested, but 1 take part"):
        distributed.launch(fabric, 2)


def test_on_the_command_line_one_process_prints(faces: Path, tmp_path: Path) -> None:
    """All stages of a recipe, in two processes: every line is there once."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(
        "settings: {batch_size: 2, num_validation_batches: 1, num_workers: 0, mix: {num_frames: 4, num_talkers: [1.0]},"
        " model: {audio_channels: [5, 6, 7, 8], lip_width: 5}}\n"
        "stages: {lips: {stage: lips}, net: {stage: speech}, mean: {average: {net: 1.0}}}"
    )
    avse = str(Path(sys.executable).with_name("avse"))
    command = [avse, "train", "--recipe", str(recipe), "--data", str(faces), "--val-speakers", "speaker0"]
    command += ["--run", str(tmp_path / "run"), "--steps", "1", "--devices", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env=ALONE | {"OMP_NUM_THREADS": "1"})
    best = tmp_path / "run" / "best.safetensors"
    assert (done.returncode, done.stdout) == (0, f"{best}\n"), done.stderr
    found = [line.split()[:2] for line in done.stderr.splitlines()]
    run = [["stage", "NAME,"], ["device", "cpu"], ["faces:", "6"], ["steps", "0"], ["step", "1/1"], ["step", "1/1"]]
    headers = [[["stage", f"{name},"], *run[1:]] for name in ("lips", "speech")]
    assert found == [["stage", "1"], *headers[0], ["stage", "2"], *headers[1], ["stage", "3"]]
    about = load_checkpoint(best).about
    assert about["training"]["num_devices"] == 2
    assert list(about["mean"]) == [load_checkpoint(tmp_path / "run/net/best.safetensors").sha256]
