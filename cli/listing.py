"""Report what a command left out: files of a folder, and what an output lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import typer

LOSSES = frozenset({"not_carried", "cut_short", "clipped", "other_audio_tracks"})
"""Codes of warnings about what an output lacks."""


def tell_passed_over(folder: object, passed_over: Mapping[str, str]) -> None:
    """Say in one line on standard error how many files were passed over, and why; log each of them.

    So with --quiet too, as it tells what the output lacks.
    """
    from avse.errors import printable
    from avse.io.listing import describe_passed_over, log_passed_over

    log_passed_over(folder, passed_over)
    if passed_over:
        typer.echo(printable(f"{folder}: {describe_passed_over(passed_over)}"), err=True)


def tell_losses(recording: object, warnings: Iterable[tuple[str, str]], keep_tracks: bool) -> None:
    """Say on standard error what an output lacks, for --quiet, which hides every other note.

    Args:
        recording: what was enhanced.
        warnings: codes and texts.
        keep_tracks: whether the other audio tracks are in the output, or warned of one by one.
    """
    from avse.errors import printable

    for code, text in warnings:
        if code in LOSSES and not (keep_tracks and code == "other_audio_tracks"):
            typer.echo(printable(f"avse: {recording}: {text}"), err=True)
