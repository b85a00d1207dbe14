"""Trained weights on disk: safetensors that explain themselves and hold no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from avse.config import ModelConfig, from_mapping
from avse.errors import InputError
from avse.io import atomic
from avse.models.net import SpeechNet
from avse.version import __version__
from avse.weights.metadata import FORMAT, HINT, sha256

_KEPT = ("training", "validation_speakers", "start", "step", "validation", "mean")


@dataclass(frozen=True)
class Checkpoint:
    """A net ready for use (eval mode, float32, on the CPU), and all that its file says about it."""

    net: SpeechNet
    about: Mapping[str, Any]
    sha256: str


def save_checkpoint(path: Path, net: SpeechNet, about: Mapping[str, Any], half: bool = False) -> None:
    """Write a net; ``about`` (training data, steps, metrics, licence of the data...) goes into the header as JSON."""
    kept = torch.float16 if half else torch.float32
    tensors = {name: _with_floats(value.detach(), kept).cpu().contiguous() for name, value in net.state_dict().items()}
    header = {"format": FORMAT, "avse_version": __version__, "model": asdict(net.config), **about}
    with atomic.atomic_path(path) as partial:
        partial.write_bytes(save(tensors, metadata={"avse": json.dumps(header)}))


def convert(trained: Path, output: Path, about: Mapping[str, Any]) -> None:
    """Write a training checkpoint in the form that ships: half precision, and ``about`` (name, data, licence) beside
    what training wrote of itself."""
    checkpoint = load_checkpoint(trained)
    kept = {key: checkpoint.about[key] for key in _KEPT if key in checkpoint.about}
    save_checkpoint(output, checkpoint.net, {**kept, **about}, half=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a net; InputError if the file is not one of ours, or is damaged."""
    about, tensors = _read(path)
    if about.get("format") != FORMAT:
        raise InputError(f"{path} has the unknown format {about.get('format')!r}.", "Update avse.")
    try:
        net = SpeechNet(from_mapping(ModelConfig, about["model"]))
        net.load_state_dict({name: _with_floats(value, torch.float32) for name, value in tensors.items()})
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} does not hold the net it names: {_one_line(error)}", "Update avse.") from error
    return Checkpoint(net.eval(), about, sha256(path))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a file, whatever net they belong to."""
    try:
        with safe_open(path, framework="pt") as stored:
            about = dict(json.loads((stored.metadata() or {})["avse"]))
            return about, {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not an avse checkpoint: {_one_line(error)}", HINT) from error


def _with_floats(value: Tensor, kind: torch.dtype) -> Tensor:
    """Numbers in the floating type asked for; counters stay what they are."""
    return value.to(kind) if value.is_floating_point() else value


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
