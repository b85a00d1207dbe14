"""``avse prepare``: recordings made ready for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .progress import progress


def prepare(
    data: Annotated[Path, typer.Argument(help="SPEAKER/**/CLIP.mp4, also VoxCeleb2's dev/mp4; or sound files alone.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the prepared clips.")],
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; one per core by default.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
) -> None:
    """Cut mouths and sound out of every recording once, in parallel. Run it again to go on where it stopped.

    Bad recordings are listed in bad.csv and left out. Example: avse prepare voxceleb2/ -o cache/voxceleb2
    """
    from avse.data import cache

    total = len(cache.sources(data, output))
    done = bad = 0
    with progress(quiet) as show:
        for outcome in cache.prepare(data, output, jobs):
            done += 1
            bad += bool(outcome.problem)
            show("preparing", done, total)
    if not quiet:
        typer.echo(f"{done - bad} clips in {output}" + (f"; {bad} left out, see {output / 'bad.csv'}" if bad else ""))
    raise typer.Exit(1 if bad else 0)
