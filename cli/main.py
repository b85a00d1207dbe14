"""The command ``avse``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from avse.errors import UsageError

from .app import App, Group
from .batch import batch
from .bench import bench
from .demo import demo
from .doctor import doctor
from .enhance import enhance
from .evaluate import evaluate
from .faces import faces
from .mix import mix
from .models import models
from .prepare import prepare
from .samples import samples
from .train import train
from .ui import ui

app = App(
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from avse.doctor import versions

        for name, version in versions().items():
            typer.echo(f"{name} {version}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", "-V", callback=_version, is_eager=True, help="Show version information."),
    ] = False,
) -> None:
    """Extract one person's speech from a video, using the audio and the lip movements.

    Start with: avse enhance input.mp4 -o clean.wav

    Exit codes: 0 done, 1 an input could not be used, 2 wrong usage, 3 something is missing on this machine,
    130 interrupted, 143 terminated.
    """
    try:
        os.getcwd()
    except OSError as error:  # libraries end the process if there is none
        raise UsageError("The current folder no longer exists.", "Change to another folder first: cd") from error
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # torch's threads sleep while waiting: ffmpeg needs the cores
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file's name may hold any byte


RECORDINGS = "Recordings"
MEASURING = "Evaluation"
TRAINING = "Training"
INSTALLATION = "Installation"

app.command(rich_help_panel=RECORDINGS)(demo)
app.command(rich_help_panel=RECORDINGS)(enhance)
app.command(rich_help_panel=RECORDINGS)(faces)
app.command(rich_help_panel=RECORDINGS)(batch)
app.command(rich_help_panel=RECORDINGS)(ui)
app.command(rich_help_panel=MEASURING)(mix)
app.command(rich_help_panel=MEASURING)(evaluate)
app.command(rich_help_panel=MEASURING)(bench)
app.command(rich_help_panel=TRAINING)(prepare)
app.command(rich_help_panel=TRAINING)(train)
app.add_typer(models, rich_help_panel=INSTALLATION)
app.command(rich_help_panel=INSTALLATION)(doctor)
app.command(rich_help_panel=INSTALLATION)(samples)
