"""The command ``avse``."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from avse import __version__
from avse.errors import AvseError

from .enhance import enhance
from .prepare import prepare
from .samples import samples
from .train import train


class Group(TyperGroup):
    """Shows a failure as two lines, and leaves with its exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; ``--debug`` lets the traceback through."""
        try:
            return super().invoke(ctx)
        except AvseError as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"avse: {error.message}\n      {error.hint}", err=True)
            sys.exit(error.exit_code)
        except KeyboardInterrupt:
            typer.echo("avse: interrupted; nothing was left half-written.", err=True)
            sys.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)


app = typer.Typer(cls=Group, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"avse {__version__}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Take a recording in which one sees people speak; get back the voice of the one you look at.

    Exit codes: 0 done, 1 an input failed, 2 wrong usage, 3 something is missing on this machine, 130 interrupted.
    """


app.command()(enhance)
app.command()(prepare)
app.command()(train)
app.command()(samples)
