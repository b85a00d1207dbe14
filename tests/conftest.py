"""Every test starts from the same seed, on one thread. One talking head and two nets serve all."""

from __future__ import annotations

import logging
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from one_process import run_many
from remembered import remember_detections
from small_world import stirred, tiny

from avse.data.synthetic.clips import make_clip
from avse.faces.detection import Detector
from avse.models.net import SpeechNet
from avse.parallel import local
from avse.weights.checkpoint import save_checkpoint

WORKERS = ("avse.parallel.local.run_many", "avse.batch.run_many")
USUAL = local.run_many, local.threads_for
torch.set_num_threads(1)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"  # servers of tests are on this machine
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell: commands would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
    signal.signal(signal.SIGHUP, lambda number, frame: None)
settings.register_profile(
    "avse",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("avse")


@pytest.fixture(autouse=True)
def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _remembered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        remember_detections(patch)
        yield


@pytest.fixture(autouse=True)
def _quiet_log() -> Iterator[None]:
    """Undo what ``--verbose`` of a command in this process has set up."""
    yield
    logging.getLogger("avse").handlers.clear()
    logging.getLogger("avse").setLevel(logging.NOTSET)


@pytest.fixture(scope="module")
def one_process() -> Iterator[None]:
    """Do the work of worker processes in this one, on one thread, with no second start of Python and torch."""
    with pytest.MonkeyPatch.context() as patch:
        for name in WORKERS:
            patch.setattr(name, run_many)
        patch.setattr(local, "threads_for", lambda num_jobs: 1)
        yield


@pytest.fixture
def worker_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo `one_process` for a test."""
    for name in WORKERS:
        monkeypatch.setattr(name, USUAL[0])
    monkeypatch.setattr(local, "threads_for", USUAL[1])


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A talking head, 320 x 240: 32 frames, and exactly 20480 samples at 16 kHz."""
    path = tmp_path_factory.mktemp("clip") / "talking head.mp4"
    make_clip(path, seconds=1.28)
    return path


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a small net that was never trained."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_checkpoint(path, stirred(tiny()), {"name": "tiny"})
    return path


@pytest.fixture(scope="session")
def see_through(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a net whose mask is 1 everywhere: what goes in must come out."""
    net = SpeechNet(tiny())
    torch.nn.init.zeros_(net.audio.mask.weight)
    torch.nn.init.constant_(net.audio.mask.bias, 30.0)  # type: ignore[arg-type]
    path = tmp_path_factory.mktemp("model") / "see-through.safetensors"
    save_checkpoint(path, net, {"name": "see-through"})
    return path


@pytest.fixture(scope="session")
def detector() -> Detector:
    return Detector(num_threads=1)
