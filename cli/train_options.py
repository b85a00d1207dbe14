"""Options of ``avse train``, in three groups of its help: data, run, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import complete

FUSIONS = ("none", "cwc", "mmtm", "mmtm-global", "mmtm-audio", "msaf", "asym")
STAGES = ("lips", "speech", "smil")


def _data(text: str, **settings: Any) -> Any:
    return typer.Option(help=text, rich_help_panel="Data", **settings)


def _run(text: str, **settings: Any) -> Any:
    return typer.Option(help=text, rich_help_panel="Run", **settings)


def _setting(text: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel="Settings", **settings)


def _choice(text: str, choices: tuple[str, ...]) -> Any:
    return _setting(text, metavar="|".join(choices), autocompletion=complete(*choices))


Data = Annotated[Path | None, _data("Prepared talking faces (see avse prepare).")]
Voices = Annotated[Path | None, _data("Prepared audio-only speech, for interfering talkers.")]
Noises = Annotated[Path | None, _data("Prepared noise.")]
Rooms = Annotated[Path | None, _data("Measured room impulse responses: ROOM/NAME.flac.")]
AudioOnlyData = Annotated[Path | None, _data("With SMIL: prepared audio-only speech as targets.")]
ValSpeakers = Annotated[str, _data("Validation speakers; none: validate on training speakers.", metavar="NAME,...")]

Run = Annotated[Path | None, _run("Run directory. An existing run is resumed.")]
StartFrom = Annotated[
    list[Path] | None,
    _run("Checkpoint with the initial weights of a new run; may be repeated, later ones override earlier ones."),
]
Devices = Annotated[int | None, _run("Number of GPUs, or of CPU processes without a GPU.", min=1)]
MaxHours = Annotated[float | None, _run("Stop cleanly after this time, all stages together.", min=0.0)]

Recipe = Annotated[str | None, _setting("All stages of a model: avse, or a YAML file.", metavar="NAME|PATH")]
Config = Annotated[
    str | None, _setting("Settings of one stage: a YAML file, or a name such as long.", metavar="NAME|PATH")
]
Changes = Annotated[
    list[str] | None,
    _setting(
        "Change a setting, such as learning_rate=3e-4 or mix.num_frames=50; may be repeated.",
        "--set",
        metavar="NAME=VALUE",
    ),
]
Preset = Annotated[str | None, _choice("Fusion method.", FUSIONS)]
Part = Annotated[
    str | None, _choice("Part to train: the lip stream, the whole network, or SMIL meta-training.", STAGES)
]
Smil = Annotated[bool, _setting("SMIL meta-training for missing video (--stage smil).", "--smil")]
Steps = Annotated[int | None, _setting("Number of steps of each stage.", min=1)]
PrintConfig = Annotated[bool, _setting("Print all settings as YAML, and stop.", "--print-config")]
