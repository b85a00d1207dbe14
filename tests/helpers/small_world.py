"""A small world for tests: prepared clips of drawn mouths and tinkling voices, nets of a few thousand parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avse.config import ModelConfig
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet

TINY: dict[str, Any] = {"audio_channels": (5, 6, 7, 8), "lip_width": 5}


def tiny(fusion: str = "mmtm", **settings: Any) -> ModelConfig:
    return ModelConfig(fusion=fusion, **(TINY | settings))


def stirred(config: ModelConfig) -> SpeechNet:
    """A net some way from its start, where parts that begin at zero speak and batch norms have seen something."""
    net = SpeechNet(config)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif value.is_floating_point():
                value.add_(0.1 * torch.randn_like(value))
    return net


def made_inputs(config: ModelConfig, batch: int = 2, num_frames: int = 6) -> Inputs:
    spectrum = torch.randn(batch, 321, num_frames * 640 // config.hop, dtype=torch.complex64)
    return Inputs(spectrum, mouths(batch, num_frames, config.lip_side), torch.ones(batch, num_frames))


def mouths(batch: int, num_frames: int, side: int) -> Tensor:
    return torch.randn(batch, num_frames, side, side)


def write_clip(cache: Path, speaker: str, name: str, num_frames: int = 40, with_lips: bool = True) -> Path:
    """A clip whose mouth is bright where its voice, a tone of the speaker's own, is loud."""
    rng = np.random.default_rng(sum(f"{speaker}/{name}".encode()))
    opening = np.abs(np.sin(np.arange(num_frames) * rng.uniform(0.3, 0.9) + rng.uniform(0, 3)))
    pitch_hz = 120 + 17 * (sum(speaker.encode()) % 20)
    phase = 2 * np.pi * pitch_hz * np.arange(num_frames * 640) / 16000
    waveform = np.repeat(opening, 640) * (np.sin(phase) + 0.4 * np.sin(3 * phase)) * 8000
    stored = {"sound": waveform.astype(np.int16)}
    if with_lips:
        rows = np.abs(np.arange(88) - 43.5)[:, None] * np.ones(88)
        open_mouth = rows < 5 + 25 * opening[:, None, None]
        stored["lips"] = (60 + 120 * open_mouth + rng.uniform(0, 20, (num_frames, 88, 88))).astype(np.uint8)
    path = cache / speaker / f"{name}.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **stored)  # type: ignore[arg-type]
    return path


def write_cache(cache: Path, speakers: int = 4, clips: int = 2, **settings: Any) -> Path:
    for speaker in range(speakers):
        for clip in range(clips):
            write_clip(cache, f"speaker{speaker}", f"clip{clip}", **settings)
    return cache


def check_silence(loss: Callable[[Tensor, Tensor], Tensor], spoken: Tensor, too_short: bool = False) -> None:
    """A silent reference, or one too short, teaches nothing; loss and gradient are finite whatever is silent."""
    silent = torch.zeros_like(spoken)
    for estimate, reference in ((spoken, silent), (silent, spoken), (silent, silent), (spoken, spoken)):
        estimate = estimate.clone().requires_grad_()
        found = loss(estimate, reference)
        found.sum().backward()
        assert found.shape == (len(spoken),)
        assert found.isfinite().all()
        assert estimate.grad is not None
        assert estimate.grad.isfinite().all()
        if reference is silent or too_short:
            assert not found.any()
            assert not estimate.grad.any()


def state_of(run: Path) -> dict[str, Any]:
    return torch.load(run / "last.pt", weights_only=True)


def assert_same(one: Any, other: Any) -> None:
    """Bit for bit, however deep."""
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, Mapping):
        assert list(one) == list(other)
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_same(a, b)
    else:
        assert one == other
