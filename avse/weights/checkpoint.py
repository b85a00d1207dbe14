"""Read and write trained weights: safetensors files with the settings of their network, and without code."""

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

from avse.errors import InputError, printable
from avse.io import atomic
from avse.io.paths import as_path
from avse.models.net import SpeechNet
from avse.version import __version__
from avse.weights.forking import check_fork
from avse.weights.metadata import FORMAT, HINT, Metadata, Provenance, read_metadata, sha256


@dataclass(frozen=True)
class Checkpoint:
    """Hold a network ready for use (eval mode, float32, on the CPU), and its metadata."""

    net: SpeechNet
    about: Mapping[str, Any]
    sha256: str

    def check_process(self) -> None:
        """Raise UsageError if the network cannot be used in this process: it is on a GPU and the process was forked."""
        check_fork(next(self.net.parameters()).device)

    @property
    def provenance(self) -> Provenance:
        """Return where the weights come from."""
        return Provenance.from_mapping(self.about)


def save_checkpoint(
    path: str | Path, net: SpeechNet, provenance: Provenance | Mapping[str, Any], half: bool = False
) -> None:
    """Write a network, with its settings and the origin of its weights in the metadata; ``half``: in half precision.

    Raises UsageError, before anything is written, for weights that are not finite.
    """
    path = as_path(path, "path")
    about = provenance.as_mapping() if isinstance(provenance, Provenance) else dict(provenance)
    Provenance.from_mapping(about)
    kept = torch.float16 if half else torch.float32
    tensors = {name: _with_floats(value.detach(), kept).cpu().contiguous() for name, value in net.state_dict().items()}
    _check_finite(path, tensors)
    header = {"format": FORMAT, "avse_version": __version__, "model": asdict(net.config), **about}
    with atomic.atomic_path(path) as partial:
        partial.write_bytes(save(tensors, metadata={"avse": json.dumps(header)}))


def convert(trained: str | Path, output: str | Path, name: str, data: str, licence: str) -> None:
    """Convert a training checkpoint to a model for inference: half precision, with name, data and licence."""
    checkpoint = load_checkpoint(trained)
    save_checkpoint(output, checkpoint.net, checkpoint.provenance.of_release(name, data, licence), half=True)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a network. Shapes are compared with the settings before any weight is read.

    Raises InputError if the file is not a checkpoint of avse, is damaged, or holds weights that are not finite.
    """
    path = as_path(path, "path")
    metadata = read_metadata(path)
    try:
        with torch.device("meta"):
            net = SpeechNet(metadata.config)
        _check_shapes(metadata, net.state_dict())
        tensors = _read_tensors(path)
        _check_finite(path, tensors)
        net.load_state_dict(tensors, assign=True)
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # files hold no memory format
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = printable(" ".join(str(error).split())[:200])
        raise InputError(f"{path} does not contain the network that it describes: {reason}", "Update avse.") from error
    return Checkpoint(net.eval(), metadata.about, sha256(path))


def _check_shapes(metadata: Metadata, expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the file has exactly the tensors of the network."""
    if lacking := sorted(expected.keys() - metadata.shapes.keys()):
        raise ValueError(f"it lacks {lacking[0]}")
    if unknown := sorted(metadata.shapes.keys() - expected.keys()):
        raise ValueError(f"the network has no {unknown[0]}")
    for name, value in expected.items():
        if metadata.shapes[name] != tuple(value.shape):
            raise ValueError(f"{name} has the shape {list(metadata.shapes[name])}, not {list(value.shape)}")
        if value.is_floating_point() != ("F" in metadata.dtypes[name]):
            raise ValueError(f"{name} has the type {metadata.dtypes[name]}")


def _read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file, in single precision."""
    try:
        with safe_open(path, framework="pt") as stored:
            return {name: _with_floats(stored.get_tensor(name), torch.float32) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        reason = printable(" ".join(str(error).split())[:200])
        raise InputError(f"{path} is not an avse checkpoint: {reason}", HINT) from error


def _check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise InputError for weights that are not finite, and for variances below 0."""
    for name, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            raise InputError(f"{path}: the weights {name} are not finite.", "Use an earlier checkpoint of this run.")
        if name.endswith("running_var") and bool((value < 0).any()):
            raise InputError(f"{path}: the variances {name} are negative.", "Use an earlier checkpoint of this run.")


def _with_floats(value: Tensor, kind: torch.dtype) -> Tensor:
    """Convert to the floating type asked for; integers stay what they are."""
    return value.to(kind) if value.is_floating_point() else value
