"""Progress bars on standard error, on a terminal only, and messages that appear above them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from avse.progress import Report, silent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_shown: list[Progress] = []
"""The bars currently on the terminal, if any."""


@contextmanager
def progress(quiet: bool) -> Iterator[Report]:
    """Yield a function to call with the stage, the amount done and the total: a bar with the time left for each."""
    with show_bars(quiet, "{task.description:<18}", percentage=True) as bars:
        if bars is None:
            yield silent
            return
        tasks: dict[str, Any] = {}

        def show(stage: str, done: float, total: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=max(done, total))

        yield show


@contextmanager
def show_bars(quiet: bool, *texts: str, percentage: bool = False, width: int | None = 40) -> Iterator[Progress | None]:
    """Show bars while the block runs; None where standard error is no terminal. They vanish at the end.

    Args:
        texts: the columns before and after the bar, as rich formats them.
        percentage: also show the percentage, and the time left in minutes and seconds.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    first, *rest = (TextColumn(text, markup=False) for text in texts)
    last = [TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn(compact=True)] if percentage else []
    columns = first, BarColumn(width), *rest, *last
    with Progress(*columns, console=_console(), transient=True, redirect_stdout=False) as bars:
        _shown.append(bars)
        try:
            yield bars
        finally:
            _shown.pop()


def say(text: str) -> None:
    """Write a message to standard error: above the bars, if there are any."""
    if _shown:
        _shown[-1].console.print(text, markup=False, highlight=False, soft_wrap=True, emoji=False)
    else:
        typer.echo(text, err=True)


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)
