"""Report skipped files of a folder, and what an output lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer


def report_passed_over(folder: object, passed_over: Mapping[str, str]) -> None:
    """Print in one line on standard error how many files were skipped, and why; log each of them.

    This is printed with --quiet too, as the output lacks these files.
    """
    from avse.errors import printable
    from avse.io.listing import describe_passed_over, log_passed_over

    log_passed_over(folder, passed_over)
    if passed_over:
        typer.echo(printable(f"{folder}: {describe_passed_over(passed_over)}"), err=True)


def report_incomplete(num_outputs: int, results: Path) -> None:
    """Print in one line on standard error how many outputs of a batch lack something of their recordings."""
    from avse.errors import printable

    if num_outputs:
        what = "1 output lacks" if num_outputs == 1 else f"{num_outputs} outputs lack"
        page = results / "report.html"
        typer.echo(printable(f"{what} part of the recording, such as tracks or tags; see Left out in {page}"), err=True)


def report_kept(num_outputs: int) -> None:
    """Print in one line on standard error how many outputs a batch has kept that are not what was asked for."""
    if num_outputs:
        what = "1 output was" if num_outputs == 1 else f"{num_outputs} outputs were"
        why = "made by hand, with other options, or from another version of the recording"
        typer.echo(f"{what} kept that may have been {why}; --force redoes everything", err=True)


def report_losses(recording: object, warnings: Iterable[Mapping[str, Any]]) -> None:
    """Print on standard error what an output lacks, for --quiet, which hides every other warning."""
    from avse.errors import printable

    for warning in warnings:
        if warning["is_loss"]:
            typer.echo(printable(f"avse: {recording}: {warning['text']}"), err=True)
