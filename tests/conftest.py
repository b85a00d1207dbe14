"""Every test starts from the same seed, on one thread. One talking head and two nets serve all."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from avse.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from avse.config import ModelConfig
from avse.data.synthetic import make_clip
from avse.faces import Detector
from avse.models.net import SpeechNet

torch.set_num_threads(1)

TINY = ModelConfig(audio_channels=(4, 4, 4, 4), lip_width=4)


@pytest.fixture(autouse=True)
def _seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


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
    save_checkpoint(path, SpeechNet(TINY), {"name": "tiny"})
    return path


@pytest.fixture(scope="session")
def see_through(tiny_model: Path) -> Checkpoint:
    """A net whose mask is 1 everywhere: what goes in must come out."""
    checkpoint = load_checkpoint(tiny_model)
    with torch.no_grad():
        checkpoint.net.audio.mask.weight.zero_()
        checkpoint.net.audio.mask.bias.fill_(30.0)  # type: ignore[union-attr]
    return checkpoint


@pytest.fixture(scope="session")
def detector() -> Detector:
    return Detector(num_threads=1)
