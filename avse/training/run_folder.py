"""The folder of a run: its lock, the state in ``last.pt`` from which it goes on, the settings that it cannot change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from avse.config import ModelConfig, from_mapping
from avse.data.mix_config import MixConfig
from avse.data.online_mixing import Mixer
from avse.errors import MissingError, UsageError
from avse.io import atomic
from avse.io.disk import stop_when_full
from avse.training.config import TrainConfig
from avse.training.run_state import read_state, refusing_damage

STATE = "last.pt"
BEST = "best.safetensors"


def lock_run(run: Path, is_first: bool) -> ExitStack:
    """Lock the folder of a run for the first process, where its disk knows locks; UsageError if it is in use."""
    lock = ExitStack()
    if is_first:
        with suppress(MissingError):
            lock.enter_context(atomic.lock_folder(run))
    return lock


def fixed_settings(config: TrainConfig, validation_speakers: Sequence[str]) -> dict[str, Any]:
    """Return the settings that a run cannot change on its way."""
    return {"stage": config.stage, "model": asdict(config.model), "validation_set": sorted(set(validation_speakers))}


def validation_settings(config: TrainConfig, mixer: Mixer) -> dict[str, Any]:
    """Return what determines the mixtures that a run is validated on, besides its fixed settings."""
    groups: list[Mapping[Any, Sequence[Any]]] = [mixer.seen, mixer.voices, mixer.noises, dict(enumerate(mixer.rooms))]
    counts = [{str(name): len(clips) for name, clips in group.items()} for group in groups]
    clips = hashlib.sha256(json.dumps(counts).encode()).hexdigest()
    return {"mix": asdict(config.mix), "num_batches": config.num_validation_batches, "clips": clips}


def has_other_mixtures(stored: Mapping[str, Any] | None, own: Mapping[str, Any]) -> bool:
    """Return whether stored `validation_settings` are others; None, of former runs, counts as the same."""
    if stored is None:
        return False
    mix = asdict(from_mapping(MixConfig, stored["mix"]))  # settings added since have defaults
    return {**stored, "mix": mix} != own


def find_state(run: Path, fixed: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the state of a run; None if the folder holds none.

    Raises:
        UsageError: the state is damaged, or the run was begun with other fixed settings.
    """
    path = run / STATE
    if not path.exists():
        return None
    state = read_state(path)
    stored = {**fixed, **state.get("settings", {})}
    with refusing_damage(path):
        stored["model"] = asdict(from_mapping(ModelConfig, stored["model"]))  # settings added since have defaults
    if differing := [name for name in fixed if stored[name] != fixed[name]]:
        names = " and ".join(name.replace("_", " ") for name in differing)
        raise UsageError(
            f"The run in {run} has another {names}.",
            "Use the settings and --val-speakers of that run, or choose another folder.",
        )
    return state


def is_finished(run: Path, config: TrainConfig, validation_speakers: Sequence[str]) -> bool:
    """Return whether all steps of a run are done and its best checkpoint is there; UsageError as in `find_state`."""
    state = find_state(run, fixed_settings(config, validation_speakers))
    return state is not None and bool(state["step"] >= config.num_steps) and (run / BEST).exists()


def write_state(run: Path, state: Mapping[str, Any]) -> None:
    """Write the state of a run; the former one stays until the new one is complete. MissingError for a full disk."""
    with stop_when_full(run / STATE), atomic.atomic_path(run / STATE) as partial, partial.open("wb") as file:
        torch.save(dict(state), file)  # to a name, it would not say why it fails
