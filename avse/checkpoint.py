"""Trained weights on disk: safetensors that explain themselves and hold no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from avse import __version__
from avse.config import ModelConfig, from_mapping
from avse.errors import InputError
from avse.models.net import SpeechNet

FORMAT = "avse-1"


@dataclass(frozen=True)
class Checkpoint:
    """A net ready for use (eval mode, float32, on the CPU), and all that its file says about it."""

    net: SpeechNet
    about: Mapping[str, Any]
    sha256: str


def save_checkpoint(path: Path, net: SpeechNet, about: Mapping[str, Any], half: bool = False) -> None:
    """Write a net; ``about`` (training data, steps, metrics, licence of the data...) goes into the header as JSON."""
    kept = torch.float16 if half else torch.float32
    tensors = {
        name: (value.detach().to(kept) if value.is_floating_point() else value.detach()).cpu().contiguous()
        for name, value in net.state_dict().items()
    }
    header = {"format": FORMAT, "avse_version": __version__, "model": asdict(net.config), **about}
    partial = path.with_suffix(".part")
    save_file(tensors, partial, metadata={"avse": json.dumps(header)})
    partial.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a net; InputError if the file is not one of ours."""
    try:
        with safe_open(path, framework="pt") as stored:
            header = json.loads((stored.metadata() or {})["avse"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not an avse checkpoint: {error}", "Name one that `avse models` lists.") from error
    if header.get("format") != FORMAT:
        raise InputError(f"{path} has the unknown format {header.get('format')!r}.", "Update avse.")
    net = SpeechNet(from_mapping(ModelConfig, header["model"]))
    net.load_state_dict(
        {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    )
    return Checkpoint(net.eval(), header, hashlib.sha256(path.read_bytes()).hexdigest())
