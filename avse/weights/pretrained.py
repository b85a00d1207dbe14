"""Find trained models by name. An unknown name never becomes random weights. Only loading a model loads torch."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

from avse.errors import InputError, MissingError, UsageError, short_repr
from avse.installation import restore_hint
from avse.weights import hub
from avse.weights.metadata import read_metadata, sha256

if TYPE_CHECKING:
    import torch

    from avse.weights.checkpoint import Checkpoint

DEFAULT, AUDIO_ONLY = "avse", "avse-audio"
SUMS = "SHA256SUMS"
_log = logging.getLogger(__name__)


def names() -> list[str]:
    """Return the names of the models that come with this installation."""
    return sorted(path.stem for path in _shipped())


def find(name: str | Path) -> Path:
    """Return the path of a shipped model by its name, of a checkpoint file by its path, or of ``hf://OWNER/NAME``.

    Only the last is downloaded. UsageError for any other name.
    """
    if not isinstance(name, str | os.PathLike):
        raise UsageError(f"{short_repr(name)} is not a model name.", f"Available models: {_known()}.")
    name = os.fspath(name)
    if hub.is_hub_name(name):
        return hub.fetch(name)
    if name.endswith(".safetensors"):
        if not Path(name).is_file():
            raise UsageError(f"There is no checkpoint {name}.", f"Check the path, or use a model name: {_known()}.")
        return Path(name)
    for path in _shipped():
        if path.stem == name:
            return path
    hint = f"Available models: {_known()}. Or use a .safetensors file or hf://OWNER/NAME."
    raise UsageError(f"There is no model called {name!r}.", hint)


def card(name: str) -> str:
    """Read the card of a model, as Markdown. UsageError for an unknown name, or a model without a card."""
    path = card_path(find(name))
    if not path.is_file():
        raise UsageError(f"There is no model card {path}.", f"Show its metadata: avse models show {name} --json")
    return path.read_text(encoding="utf-8")


def card_path(weights: Path) -> Path:
    """Return where the card of a weights file is: beside it, with its name or, as on the Hub, README.md."""
    own = weights.with_suffix(".md")
    return weights.with_name(hub.CARD) if weights.name == hub.WEIGHTS and not own.is_file() else own


def scores(name: str) -> str:
    """Return the gain of a model in words: the row "gain" of its card, else the scores in its file, or nothing."""
    path = find(name)
    own = card_path(path)
    row = re.search(r"^\| gain \| (.+?) \|$", own.read_text(encoding="utf-8"), re.MULTILINE) if own.is_file() else None
    return row[1] if row else read_metadata(path).scores


def verify(name: str) -> Path:
    """Load a model to check that its file is complete; a shipped model must also match its SHA-256.

    Returns its path. Raises InputError if the file is damaged or replaced, UsageError for an unknown name.
    """
    from avse.weights.checkpoint import load_checkpoint

    path = find(name)
    read_metadata(path)
    expected = shipped_sums().get(path.name) if path in set(_shipped()) else None
    if expected and sha256(path) != expected:
        raise InputError(f"{path} differs from the file that was shipped.", restore_hint())
    load_checkpoint(path)
    return path


def shipped_sums() -> dict[str, str]:
    """Return the SHA-256 of each shipped model by its file name, from the list that ``sha256sum`` wrote."""
    with as_file(files("avse_checkpoints")) as folder:
        listing = folder / SUMS
        lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    return {name.strip().lstrip("*"): value for value, _, name in (line.partition(" ") for line in lines)}


def load_model(name: str | Path = DEFAULT, device: str = "auto") -> Checkpoint:
    """Load a model by name or path, ready for use on ``device``: auto, cpu or cuda.

    Its batch norms are folded into its convolutions; `avse.weights.checkpoint.load_checkpoint` leaves them as they are.
    """
    from avse.models.folding import fold_batch_norms
    from avse.weights.checkpoint import load_checkpoint

    target = pick_device(device)
    checkpoint = load_checkpoint(find(name))
    fold_batch_norms(checkpoint.net)
    checkpoint.net.to(target)
    _log.info("model %s on %s, sha256 %s", find(name), target, checkpoint.sha256[:12])
    return checkpoint


def for_audio_only(checkpoint: Checkpoint) -> Checkpoint:
    """Return the network for a recording or a window without any face: for the shipped `avse`, the audio-only one,
    which does that better, and faster (docs/missing.md); any other network does it itself."""
    if checkpoint.sha256 != shipped_sums().get(f"{DEFAULT}.safetensors") or AUDIO_ONLY not in names():
        return checkpoint
    return _loaded_once(str(find(AUDIO_ONLY)), next(checkpoint.net.parameters()).device.type)


@lru_cache(maxsize=1)
def _loaded_once(path: str, device: str) -> Checkpoint:
    return load_model(path, device)


def pick_device(device: str) -> torch.device:
    """Return the device that a word names. MissingError for a GPU that is not there."""
    import torch

    from avse.weights.forking import check_fork

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device not in ("cpu", "cuda"):
        raise UsageError(f"Unknown device {short_repr(device)}.", "Use auto, cpu or cuda.")
    if device == "cuda" and not torch.cuda.is_available():
        raise MissingError("torch finds no GPU on this machine.", "Use --device cpu, or type: avse doctor")
    check_fork(torch.device(device))
    return torch.device(device)


def _known() -> str:
    return ", ".join(names()) or "none in this installation"


def _shipped() -> Iterator[Path]:
    with as_file(files("avse_checkpoints")) as folder:
        yield from sorted(folder.glob("*.safetensors"))
