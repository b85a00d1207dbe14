"""``avse train``: train a model from prepared clips."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from . import train_options as o
from .options import Quiet
from .progress import progress

if TYPE_CHECKING:
    from avse.training.config import TrainConfig
    from avse.training.data import TrainingData
    from avse.training.recipe import Stage

    Plan = TrainConfig | list[Stage]


def train(
    data: o.Data = None,
    run: o.Run = None,
    voices: o.Voices = None,
    noises: o.Noises = None,
    rooms: o.Rooms = None,
    audio_only_data: o.AudioOnlyData = None,
    val_speakers: o.ValSpeakers = "",
    recipe: o.Recipe = None,
    config: o.Config = None,
    changes: o.Changes = None,
    preset: o.Preset = None,
    stage: o.Part = None,
    smil: o.Smil = False,
    steps: o.Steps = None,
    print_config: o.PrintConfig = False,
    start_from: o.StartFrom = None,
    devices: o.Devices = None,
    max_hours: o.MaxHours = None,
    quiet: Quiet = False,
) -> None:
    """Train a model from prepared clips.

    RUN/best.safetensors is the best checkpoint on the validation speakers; use it with avse enhance --model. --recipe
    avse trains a network like the one that ships, stage by stage; --config trains one stage. Run the same command again
    to resume. The log is RUN/train.log; curves and audio: tensorboard --logdir RUN. Several GPUs: --devices N, or
    torchrun --no-python --nproc-per-node N -- avse train ...

    Example: avse train --recipe avse --data cache/faces --voices cache/voices --noises cache/noises --val-speakers id1,id2 --run runs/avse
    avse train --config lips --data cache/faces --val-speakers id1,id2 --run runs/lips
    avse train --config mmtm --data cache/faces --val-speakers id1,id2 --start-from runs/lips/best.safetensors --run runs/mmtm
    avse train --config long --set learning_rate=3e-4 --print-config
    """  # noqa: E501
    overrides = {"preset": preset, "stage": "smil" if smil else stage, "num_steps": steps, "num_devices": devices}
    if print_config:
        _prepare(quiet)
        typer.echo(_describe(_read_plan(recipe, config, changes or [], overrides)), nl=False)
        return
    data, run = _check_folders(data, run)
    quiet = _prepare(quiet)
    from avse.training.data import TrainingData

    plan = _read_plan(recipe, config, changes or [], overrides)
    folders = TrainingData(data, voices, noises, _speakers(val_speakers, quiet), audio_only_data, rooms)
    best = _train(plan, folders, run, start_from or [], max_hours, quiet)
    if not quiet:
        typer.echo(best or f"Time is up: the same command resumes {run}.", err=best is None)


def _prepare(quiet: bool) -> bool:
    """Return whether to print nothing: with --quiet, or in one of several processes. MissingError without Lightning."""
    from avse.errors import MissingError
    from avse.installation import install_hint

    try:
        from avse.training.distributed import is_first
    except ImportError as error:
        raise MissingError(f"Training needs more packages: {error}", install_hint("train")) from error
    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)  # otherwise one line per process
    return quiet or not is_first()


def _describe(plan: Plan) -> str:
    """Return all settings as YAML."""
    from avse.training.config import to_yaml
    from avse.training.recipe import describe_recipe

    return describe_recipe(plan) if isinstance(plan, list) else to_yaml(plan)


def _check_folders(data: Path | None, run: Path | None) -> tuple[Path, Path]:
    """Return both folders. UsageError unless they are given and DATA exists; checked before the slow imports."""
    from avse.errors import UsageError
    from avse.io.urls import missing

    if data is None or run is None:
        raise UsageError("--data or --run is missing.", "Use --data FACES and --run RUN.")
    if not data.is_dir():
        raise missing(data, "folder", "Prepare recordings first: avse prepare DATA -o CACHE")
    return data, run


def _speakers(names: str, quiet: bool) -> tuple[str, ...]:
    """Return the validation speakers; print a warning if there are none."""
    speakers = tuple(name.strip() for name in names.split(",") if name.strip())
    if not speakers and not quiet:
        typer.echo("No --val-speakers: the scores below are of training speakers.", err=True)
    return speakers


def _read_plan(recipe: str | None, config: str | None, changes: list[str], overrides: dict[str, Any]) -> Plan:
    """Read the stages of a recipe, or the settings of a single run."""
    from avse.errors import UsageError
    from avse.training.config import read_config
    from avse.training.recipe import read_recipe

    if recipe is None:
        return read_config(config, changes, **overrides)
    if config or overrides["stage"]:
        raise UsageError("A recipe contains its own stages and settings.", "Omit --config and --stage.")
    return read_recipe(recipe, changes, **overrides)


def _train(
    plan: Plan,
    folders: TrainingData,
    run: Path,
    start_from: list[Path],
    max_hours: float | None,
    quiet: bool,
) -> Path | None:
    """Train one stage in the run's own folder, or the stages of a recipe in folders below it."""
    from avse.training.loop import train as run_training
    from avse.training.recipe import train_recipe

    with progress(quiet) as show:

        def on_stage(stage: Stage, step: int, values: Mapping[str, float]) -> None:
            if stage.config is not None:
                show(stage.name, step, stage.config.num_steps)

        on_line: Callable[[str], None] | None = None if quiet else lambda line: typer.echo(line, err=True)
        if isinstance(plan, list):
            return train_recipe(plan, folders, run, start_from, max_hours, on_stage, on_line)

        def on_step(step: int, values: Mapping[str, float]) -> None:
            show("training", step, plan.num_steps)

        return run_training(plan, folders, run, start_from, max_hours, on_step, on_line)
