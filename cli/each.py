"""``avse enhance --speaker all``: a sound of every face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from .pipes import PIPE
from .progress import progress


def each_folder(speaker: str, output: Path | None) -> Path | None:
    """Where the sounds of all faces go: ``all`` with -o, or ``each:FOLDER``; None if one face is asked for."""
    if speaker.startswith("each:"):
        if output or speaker == "each:":
            raise typer.BadParameter("each:FOLDER names the output folder; omit -o.", param_hint="--speaker")
        return Path(speaker.removeprefix("each:"))
    if output is None:
        raise typer.BadParameter("Missing output file, e.g. -o clean.wav.", param_hint="'--output' / '-o'")
    return output if speaker == "all" else None


def check_each(recording: Path, folder: Path, asks_for_more: object) -> None:
    """UsageError, before any work, for what sounds of all faces do not have."""
    from avse.errors import UsageError

    if asks_for_more or PIPE in (recording, folder):
        raise UsageError(
            "--speaker all reads a file and writes a folder; scores, reports, loudness and --no-video do not apply.",
            "Omit --reference, --report, --loudness and --no-video, or select one speaker.",
        )


def enhance_all(recording: Path, folder: Path, quiet: bool, as_json: bool, **settings: Any) -> None:
    """Write every face's sound, and say which is whom."""
    from avse.enhancement.all_speakers import FACES_JSON, enhance_all
    from avse.errors import printable
    from avse.faces.contact_sheet import clock
    from avse.io import jsonl

    with progress(quiet) as show:
        summary = enhance_all(recording, folder, on_progress=show, **settings)
    if as_json:
        typer.echo(jsonl.to_json(summary))
    elif not quiet:
        for face in summary["faces"]:
            times = f"{clock(face['intervals_seconds'][0][0])} to {clock(face['intervals_seconds'][-1][1])}"
            about = f"face {face['number']} ({face['position']}, {times}, seen {face['seen_share']:.0%} of the time)"
            typer.echo(f"{printable(str(folder / face['sound']))}  {about}")
        typer.echo(printable(str(folder / FACES_JSON)))
        for note in summary["notes"]:
            typer.echo(note)
