"""Recipes: the stages of a net's training as one run, each from the checkpoint of the stage before.

A recipe is a YAML file: ``settings`` for all stages, and ``stages`` by name. A stage holds settings, and may have
``extends`` (a configuration file), ``start_from`` (names of earlier stages; without it the one before) or ``average``
(shares of earlier stages by name: the mean of their weights instead of training).
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from avse.config import ModelConfig
from avse.errors import UsageError
from avse.io import atomic
from avse.training import distributed
from avse.training.config import TrainConfig, config_from_values, to_yaml
from avse.training.config_files import find_config, load_yaml, merge, read_values, shipped_recipes
from avse.training.data import TrainingData
from avse.training.loop import OnStep, on_devices, run_until
from avse.training.run_folder import BEST, is_finished, lock_run
from avse.training.trainer import OnLine
from avse.training.weight_averaging import average_weights
from avse.weights.checkpoint import load_checkpoint, save_checkpoint
from avse.weights.metadata import Provenance


@dataclass(frozen=True)
class Stage:
    """Describe a stage: settings, or shares of earlier stages to average; and the stages it starts from."""

    name: str
    config: TrainConfig | None
    start_from: tuple[str, ...] = ()
    shares: Mapping[str, float] | None = None


def read_recipe(given: Path | str, assignments: Iterable[str] = (), **overrides: Any) -> list[Stage]:
    """Read a recipe, a file or the name of a shipped one; changes, as of `read_config`, hold for every stage.

    Raises:
        UsageError: there is no such recipe, or it is invalid.
    """
    path = find_config(given, known=shipped_recipes())
    values = load_yaml(path)
    shared, rows = values.get("settings") or {}, values.get("stages") or {}
    if set(values) - {"settings", "stages"} or not isinstance(rows, dict) or not rows:
        raise UsageError(f"{path} is not a recipe.", "A recipe has settings for all stages, and named stages.")
    stages: dict[str, Stage] = {}
    changes = list(assignments)
    for name, row in rows.items():
        if not isinstance(row, dict) or Path(str(name)).name != name:
            raise UsageError(
                f"{path}: {name!r} is not a stage.",
                "Use a name that is valid as a folder name, with its settings below it.",
            )
        if "average" in row:
            stages[name] = _read_average(name, row, stages)
            continue
        own = {key: value for key, value in row.items() if key not in ("extends", "start_from")}
        extended = read_values(row["extends"], path.parent) if "extends" in row else {}
        config = config_from_values(merge(merge(extended, shared), own), changes, **overrides)
        start_from = _earlier(name, row.get("start_from", list(stages)[-1:]), stages)
        stages[name] = Stage(name, config, start_from)
    return list(stages.values())


def _read_average(name: str, row: Mapping[str, Any], stages: Mapping[str, Stage]) -> Stage:
    """Read a stage that averages weights; refuse at once what `average_weights` would refuse after training."""
    shares = row["average"]
    if len(row) > 1 or not isinstance(shares, dict) or any(not isinstance(x, (int, float)) for x in shares.values()):
        raise UsageError(
            f"Stage {name} is not an average of stages.", "Use for example: average: {long: 0.5, smil: 0.5}"
        )
    models = {_model(stages[other], stages) for other in _earlier(name, list(shares), stages)}
    if abs(sum(shares.values()) - 1) > 1e-6 or min(shares.values()) < 0 or len(models) != 1:
        raise UsageError(
            f"Stage {name} cannot average {shares}.",
            "The shares must add up to 1, and the networks must have the same model settings.",
        )
    return Stage(name, None, tuple(shares), shares)


def _model(stage: Stage, stages: Mapping[str, Stage]) -> ModelConfig:
    """Return the settings of a stage's network; how often the bottleneck runs does not matter to a mean."""
    if stage.config is None:
        return _model(stages[stage.start_from[0]], stages)
    return replace(stage.config.model, bottleneck_rounds=1)


def _earlier(name: str, others: Any, stages: Mapping[str, Stage]) -> tuple[str, ...]:
    if not isinstance(others, list) or set(others) - set(stages):
        raise UsageError(f"Stage {name} cannot start from {others}.", f"Earlier stages: {', '.join(stages) or 'none'}.")
    return tuple(others)


def describe_recipe(stages: Sequence[Stage]) -> str:
    """Return all settings of all stages as YAML that `read_recipe` reads back."""
    lines = ["stages:"]
    for stage in stages:
        lines.append(f"  {stage.name}:")
        if stage.config is None:
            shares = ", ".join(f"{name}: {share}" for name, share in (stage.shares or {}).items())
            lines.append(f"    average: {{{shares}}}")
            continue
        lines.append(f"    start_from: [{', '.join(stage.start_from)}]")
        lines += [f"    {line}" for line in to_yaml(stage.config).splitlines()]
    return "\n".join(lines) + "\n"


def train_recipe(
    stages: Sequence[Stage],
    folders: TrainingData,
    run: Path,
    start_from: Sequence[Path] = (),
    max_hours: float | None = None,
    on_step: Callable[[Stage, int, dict[str, float]], None] | None = None,
    on_line: OnLine | None = None,
) -> Path | None:
    """Train stage after stage, or resume ``run``.

    Args:
        stages: what to do, from `read_recipe`.
        folders: what to train and validate on; examples without video of their own go to stages of SMIL alone.
        run: each stage has its folder ``run/STAGE`` and keeps its checkpoint there.
        start_from: checkpoints from which the first stage starts.
        max_hours: stop in good order after this time, all stages together.
        on_step: called with the stage, the step and its values, as of `avse.training.loop.train`.
        on_line: called with each line of the log.

    Returns:
        ``run/best.safetensors``, the checkpoint of the last stage; None if time was up before.
    """
    deadline = time.monotonic() + (math.inf if max_hours is None else max_hours * 3600)
    stages = [replace(stage, config=stage.config and on_devices(stage.config)) for stage in stages]
    _check_audio_only(stages, folders)
    with lock_run(run, distributed.is_first()):
        for number, stage in enumerate(stages, 1):
            if on_line is not None and distributed.is_first():
                on_line(f"stage {number} of {len(stages)}: {stage.name}")
            given = [run / name / BEST for name in stage.start_from] or list(start_from)
            if stage.config is None:
                _average(run, stage)
            elif not _is_finished(run, stage, folders):
                report = _reporter(stage, on_step)
                data = folders if stage.config.stage == "smil" else folders.without_audio_only()
                outcome = run_until(deadline, stage.config, data, run / stage.name, given, report, on_line)
                if not outcome.is_finished:
                    return None
        if distributed.is_first():
            with atomic.atomic_path(run / BEST) as partial:
                shutil.copyfile(run / stages[-1].name / BEST, partial)
    return run / BEST


def _is_finished(run: Path, stage: Stage, folders: TrainingData) -> bool:
    """Return whether a stage can be passed over; not one whose trainer is still to connect several processes."""
    assert stage.config is not None
    is_connected = stage.config.num_devices == 1 or torch.distributed.is_initialized()
    return is_connected and is_finished(run / stage.name, stage.config, folders.validation_speakers)


def _check_audio_only(stages: Sequence[Stage], folders: TrainingData) -> None:
    """Raise UsageError for examples without video that no stage uses, or that cannot be used."""
    uses_them = any(stage.config is not None and stage.config.stage == "smil" for stage in stages)
    if folders.audio_only_talkers() and not uses_them:
        raise UsageError("No stage of this recipe uses audio-only targets.", "Pass them with --voices.")


def _reporter(stage: Stage, on_step: Callable[[Stage, int, dict[str, float]], None] | None) -> OnStep | None:
    return None if on_step is None else lambda step, values: on_step(stage, step, values)


def _average(run: Path, stage: Stage) -> None:
    """Write the mean of earlier stages, in the first process; the others wait."""
    if distributed.is_first():
        shares = dict(stage.shares or {})
        found = [load_checkpoint(run / name / BEST) for name in shares]
        mean = average_weights([checkpoint.net for checkpoint in found], list(shares.values()))
        parts = {checkpoint.sha256: share for checkpoint, share in zip(found, shares.values(), strict=True)}
        (run / stage.name).mkdir(parents=True, exist_ok=True)
        provenance = Provenance.of_mean([checkpoint.provenance for checkpoint in found], parts)
        save_checkpoint(run / stage.name / BEST, mean, provenance)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
