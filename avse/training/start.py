"""The start of a run: the weights that a new net takes from files, and the priors of its imputer."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from avse.errors import UsageError, printable
from avse.models.net import SpeechNet
from avse.training.config import TrainConfig
from avse.training.pretrained_lips import load_pretrained_lips
from avse.training.smil_priors import set_priors
from avse.weights.checkpoint import Checkpoint, load_checkpoint

PRIORS = "imputer.priors"


class Start(NamedTuple):
    """Hold what a new net started from: the SHA-256 of the files, None without any, and lines for the log."""

    sha256: str | None
    notes: list[str]


def start_net(
    net: SpeechNet, config: TrainConfig, start_from: Sequence[Path], speakers: Collection[Sequence[Path]]
) -> Start:
    """Give a new net its weights from files, later ones over earlier ones.

    The imputer keeps the priors that come with them, for which its other weights were trained; else they are computed
    from the speakers' prepared clips. UsageError for named parts that nothing fits, and for fixed ones
    that would stay random.
    """
    if config.lips_from:
        load_pretrained_lips(net, Path(config.lips_from))
    loaded: set[str] = set()
    given, notes = [load_checkpoint(path) for path in start_from], []
    for path, checkpoint in zip(start_from, given, strict=True):
        state = _weights_to_take(checkpoint, config.start_parts)
        names = load_matching(net, state)
        if unused := len(state) - len(names):
            described = _describe(path, config.start_parts)
            notes.append(f"{unused} of {len(state)} weights of {described} do not fit this network: not used")
        loaded |= names
    if given:
        _check_start_parts(net, config, loaded)
    _check_fixed(net, config, loaded)
    if PRIORS not in loaded:
        set_priors(net, speakers, config.seed)
    return Start(" + ".join(checkpoint.sha256 for checkpoint in given) or None, notes)


def load_matching(net: SpeechNet, state: Mapping[str, Tensor]) -> set[str]:
    """Copy the weights that match by name and shape; return their names."""
    own = net.state_dict()
    matching = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    net.load_state_dict(own | matching)
    return set(matching)


def _weights_to_take(checkpoint: Checkpoint, parts: Sequence[str]) -> dict[str, Tensor]:
    """Return the weights of these parts, or of all."""
    state = checkpoint.net.state_dict()
    if checkpoint.provenance.training.get("stage") == "lips":
        state.pop(PRIORS, None)  # they are of the lip stream before it was trained
    return {name: value for name, value in state.items() if not parts or name.split(".")[0] in parts}


def _describe(path: Path, parts: Sequence[str]) -> str:
    """Name a file, and the parts that are taken from it unless it is all."""
    return printable(str(path)) + (f" ({', '.join(parts)})" if parts else "")


def _check_start_parts(net: SpeechNet, config: TrainConfig, loaded: Collection[str]) -> None:
    """Raise UsageError for parts that were to come from a start, of which nothing but vectors and numbers did."""
    lacking = []
    for part in config.start_parts:
        kernels = {name for name, value in _weights_of(net, part).items() if value.ndim > 1}
        if kernels and not kernels & set(loaded) and not (part == "lips" and config.lips_from):
            lacking.append(part)
    if lacking:
        hint = "Start from a network with the same settings below model, or remove these parts from start_parts."
        raise UsageError(f"Nothing in the start fits: {', '.join(lacking)}.", hint)


def _check_fixed(net: SpeechNet, config: TrainConfig, loaded: Collection[str]) -> None:
    """Raise UsageError for parts that are not trained and would stay random, as a whole or in part."""
    lacking = []
    for part in config.fixed_parts:
        missing = _weights_of(net, part).keys() - set(loaded) - {PRIORS}
        if missing and not (part == "lips" and config.lips_from):
            lacking.append(part)
    if lacking:
        hint = "Name a checkpoint that has them, with the same settings below model: --start-from CHECKPOINT"
        raise UsageError(f"Fixed parts would stay random: {', '.join(lacking)}.", hint)


def _weights_of(net: SpeechNet, part: str) -> dict[str, Tensor]:
    """Return the weights of one part of the net; none if it has no such part."""
    return {name: value for name, value in net.state_dict().items() if name.split(".")[0] == part}
