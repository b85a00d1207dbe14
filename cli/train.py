"""``avse train``: a net from prepared clips."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Quiet, complete
from .progress import progress

if TYPE_CHECKING:
    from avse.training.data import TrainingData
    from avse.training.recipe import Stage

DATA, RUN, SETTINGS = "Data", "Run", "Settings"
FUSIONS = ("none", "cwc", "mmtm", "mmtm-global", "mmtm-audio", "msaf", "asym")
STAGES = ("lips", "speech", "smil")


def train(
    data: Annotated[
        Path | None, typer.Option(help="Prepared talking faces (see avse prepare).", rich_help_panel=DATA)
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Run directory. An existing run is resumed.", rich_help_panel=RUN)
    ] = None,
    voices: Annotated[
        Path | None,
        typer.Option(help="Prepared audio-only speech, for interfering talkers.", rich_help_panel=DATA),
    ] = None,
    noises: Annotated[Path | None, typer.Option(help="Prepared noise.", rich_help_panel=DATA)] = None,
    rooms: Annotated[
        Path | None, typer.Option(help="Measured room impulse responses: ROOM/NAME.flac.", rich_help_panel=DATA)
    ] = None,
    audio_only_data: Annotated[
        Path | None,
        typer.Option(help="With SMIL: prepared audio-only speech as targets.", rich_help_panel=DATA),
    ] = None,
    val_speakers: Annotated[
        str,
        typer.Option(
            help="Validation speakers, separated by commas; none: validate on training speakers.",
            rich_help_panel=DATA,
        ),
    ] = "",
    recipe: Annotated[
        str | None,
        typer.Option(help="All stages of a model: avse, or a YAML file.", rich_help_panel=SETTINGS),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(help="Settings of one stage: a YAML file, or a name such as long.", rich_help_panel=SETTINGS),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change a setting, such as learning_rate=3e-4 or mix.num_frames=50; may be repeated.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(FUSIONS),
            autocompletion=complete(*FUSIONS),
            help="Fusion method.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(STAGES),
            autocompletion=complete(*STAGES),
            help="Part to train: the lip stream, the whole network, or SMIL meta-training.",
            rich_help_panel=SETTINGS,
        ),
    ] = None,
    smil: Annotated[
        bool,
        typer.Option("--smil", help="SMIL meta-training for missing video (--stage smil).", rich_help_panel=SETTINGS),
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of steps, of each stage.", rich_help_panel=SETTINGS)
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option("--print-config", help="Print all settings as YAML, and stop.", rich_help_panel=SETTINGS),
    ] = False,
    start_from: Annotated[
        list[Path] | None,
        typer.Option(
            help="Checkpoint with the initial weights of a new run; may be repeated, later ones override earlier ones.",
            rich_help_panel=RUN,
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Number of GPUs, or of CPU processes without a GPU.", rich_help_panel=RUN),
    ] = None,
    max_hours: Annotated[
        float | None,
        typer.Option(min=0.0, help="Stop cleanly after this time, all stages together.", rich_help_panel=RUN),
    ] = None,
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
    from avse.errors import MissingError, UsageError
    from avse.installation import install_hint

    try:
        from avse.training import recipe as recipes
        from avse.training.config import to_yaml
        from avse.training.data import TrainingData
        from avse.training.distributed import is_first
    except ImportError as error:
        raise MissingError(f"Training needs more packages: {error}", install_hint("train")) from error

    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)  # it tells of every process that starts
    quiet = quiet or not is_first()
    overrides = {"preset": preset, "stage": "smil" if smil else stage, "num_steps": steps, "num_devices": devices}
    stages = _stages(recipe, config, changes or [], overrides)
    if print_config:
        typer.echo(recipes.describe_recipe(stages) if recipe else to_yaml(stages[0].config), nl=False)
        return
    if data is None or run is None:
        raise UsageError("There is nothing to train on, or nowhere to keep it.", "Give --data FACES and --run RUN.")
    speakers = tuple(name.strip() for name in val_speakers.split(",") if name.strip())
    if not speakers and not quiet:
        typer.echo("No --val-speakers: the scores below are of training speakers.", err=True)
    folders = TrainingData(data, voices, noises, speakers, audio_only_data, rooms)
    best = _train(stages, bool(recipe), folders, run, start_from or [], max_hours, quiet)
    if not quiet:
        typer.echo(best or f"Time is up: the same command resumes {run}.", err=best is None)


def _stages(recipe: str | None, config: str | None, changes: list[str], overrides: dict[str, Any]) -> list[Any]:
    """Read the stages of a recipe, or the settings of a single run as the only stage."""
    from avse.errors import UsageError
    from avse.training.config import read_config
    from avse.training.recipe import Stage, read_recipe

    if recipe is None:
        return [Stage("", read_config(config, changes, **overrides))]
    if config or overrides["stage"]:
        raise UsageError("A recipe contains its own stages and settings.", "Leave out --config and --stage.")
    return read_recipe(recipe, changes, **overrides)


def _train(
    stages: list[Stage],
    is_recipe: bool,
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

        def on_step(stage: Stage, step: int, values: Mapping[str, float]) -> None:
            if stage.config is not None:
                show(stage.name or "training", step, stage.config.num_steps)

        on_line: Callable[[str], None] | None = None if quiet else lambda line: typer.echo(line, err=True)
        if is_recipe:
            return train_recipe(stages, folders, run, start_from, max_hours, on_step, on_line)
        (stage,) = stages
        assert stage.config is not None
        return run_training(
            stage.config, folders, run, start_from, max_hours, lambda *rest: on_step(stage, *rest), on_line
        )
