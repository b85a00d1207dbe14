"""``avse train``: a net from prepared clips."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from .options import Quiet
from .progress import progress


def train(
    data: Annotated[Path, typer.Option(help="Prepared talking faces (see avse prepare).")],
    run: Annotated[Path, typer.Option(help="Run directory. An existing run is resumed.")],
    voices: Annotated[Path | None, typer.Option(help="Prepared audio-only speech, for interfering talkers.")] = None,
    noises: Annotated[Path | None, typer.Option(help="Prepared noise.")] = None,
    rooms: Annotated[Path | None, typer.Option(help="Measured room impulse responses: ROOM/NAME.flac.")] = None,
    val_speakers: Annotated[
        str, typer.Option(help="Validation speakers, separated by commas; none: validate on training speakers.")
    ] = "",
    config: Annotated[Path | None, typer.Option(help="Configuration as YAML, such as configs/mmtm.yaml.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Fusion: none, cwc, mmtm, mmtm-global, mmtm-audio, msaf or asym.")
    ] = None,
    stage: Annotated[str | None, typer.Option(help="lips: the lip stream alone; speech: the whole net; smil.")] = None,
    smil: Annotated[bool, typer.Option("--smil", help="SMIL meta-training for missing video (--stage smil).")] = False,
    audio_only_data: Annotated[
        Path | None, typer.Option(help="With --smil: prepared audio-only speech as targets.")
    ] = None,
    start_from: Annotated[
        list[Path] | None,
        typer.Option(
            help="Checkpoint with the initial weights of a new run; may be repeated, later ones override earlier ones."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Total number of steps.")] = None,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Number of GPUs, or of CPU processes without a GPU.")
    ] = None,
    max_hours: Annotated[float | None, typer.Option(min=0.0, help="Stop cleanly after this time.")] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model from prepared clips.

    RUN/best.safetensors is the best checkpoint on the validation speakers; use it with avse enhance --model. First
    train the lip stream (configs/lips.yaml), then the whole network from there (configs/mmtm.yaml), then, optionally, for
    missing video (configs/smil.yaml). Curves and audio: tensorboard --logdir RUN. Run the same command again to resume.
    Several GPUs: --devices N, or torchrun --no-python --nproc-per-node N -- avse train ...

    Example: avse train --config configs/lips.yaml --data cache/faces --val-speakers id1,id2 --run runs/lips
    avse train --config configs/mmtm.yaml --data cache/faces --voices cache/voices --noises cache/noises --val-speakers id1,id2 --start-from runs/lips/best.safetensors --run runs/mmtm
    """  # noqa: E501
    from avse.errors import MissingError

    try:
        from avse.training.config import read_config
        from avse.training.data import TrainingData
        from avse.training.distributed import is_first
        from avse.training.trainer import train as run_training
    except ImportError as error:
        raise MissingError(f"Training needs more packages: {error}", "Type: pip install 'avse[train]'") from error

    for name in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.WARNING)  # it tells of every process that starts
    quiet = quiet or not is_first()
    settings = read_config(config, preset=preset, stage="smil" if smil else stage, num_steps=steps, num_devices=devices)
    kept = tuple(name for name in val_speakers.split(",") if name)
    if not kept and not quiet:
        typer.echo("No --val-speakers: the scores below are of training speakers.", err=True)
    folders = TrainingData(data, voices, noises, kept, audio_only_data, rooms)
    with progress(quiet) as show:

        def on_step(step: int, values: dict[str, float]) -> None:
            show("training", step, settings.num_steps)
            if not quiet:
                _tell_scores(step, values)

        best = run_training(settings, folders, run, start_from or [], max_hours, on_step)
    if not quiet:
        typer.echo(best)


def _tell_scores(step: int, values: Mapping[str, float]) -> None:
    """The scores of a validation, if these are some."""
    if any(name.startswith("validation/") for name in values):
        found = "  ".join(f"{name.split('/', 1)[1]} {value:.3f}" for name, value in values.items())
        typer.echo(f"step {step}: {found}", err=True)
