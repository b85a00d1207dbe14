"""Trained nets by name. An unknown name never becomes random weights."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path

import torch

from avse.checkpoint import Checkpoint, load_checkpoint
from avse.errors import MissingError, UsageError

DEFAULT = "avse"


def names() -> list[str]:
    """The nets that came with this installation."""
    return sorted(path.stem for path in _shipped())


def find(name: str) -> Path:
    """Path of a shipped net by its name, or of a checkpoint file by its path."""
    if name.endswith(".safetensors"):
        if not Path(name).is_file():
            raise UsageError(f"There is no checkpoint {name}.", f"Check the path, or name a model: {_known()}.")
        return Path(name)
    for path in _shipped():
        if path.stem == name:
            return path
    raise UsageError(f"There is no model called {name!r}.", f"There are: {_known()}; or give a .safetensors file.")


def load_model(name: str = DEFAULT, device: str = "auto") -> Checkpoint:
    """Load a net by name or path, ready for use on ``device``: auto, cpu or cuda."""
    target = pick_device(device)
    checkpoint = load_checkpoint(find(name))
    checkpoint.net.to(target)
    return checkpoint


def pick_device(device: str) -> torch.device:
    """The device that a word means; MissingError for a GPU that is not there."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"Unknown device {device!r}.", "Use auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError("torch finds no GPU on this machine.", "Use --device cpu, or look at: nvidia-smi")
    return torch.device(device)


def _known() -> str:
    return ", ".join(names()) or "none in this installation"


def _shipped() -> Iterator[Path]:
    with as_file(files("avse_checkpoints")) as folder:
        yield from sorted(folder.glob("*.safetensors"))
