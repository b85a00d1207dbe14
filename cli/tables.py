"""Rows in columns: colours on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

COLOURS = {"ok": "green", "warning": "yellow", "missing": "red"}


def write_table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
    """Write rows to standard output, every column but the last as wide as its widest cell.

    A cell with a state (ok, warning, missing) is coloured on a terminal, unless ``NO_COLOR`` is set.
    """
    lines = [*([header] if header else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [_coloured(cell, width) for cell, width in zip(line, widths, strict=True)]
        typer.echo("  ".join(cells).rstrip(), color=has_colours())


def has_colours() -> bool:
    """Return whether standard output is a terminal and colours are not disabled (no-color.org)."""
    import os

    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _coloured(cell: str, width: int) -> str:
    padded = f"{cell:{width}}"
    return typer.style(padded, fg=COLOURS[cell]) if cell in COLOURS else padded
