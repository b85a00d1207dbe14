"""``avse samples``: small made-up recordings to try the tool on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def samples(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it does not exist.")] = Path("samples"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other speech and noise.")] = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Write again what exists already.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not list what was written.")] = False,
) -> None:
    """Make two small recordings to try avse on.

    A talking head over a second talker, and over noise, each with the clean voice as reference. Face and voices are
    made up; the same seed gives the same recordings.

    Example: avse samples my-samples
    avse enhance my-samples/talker-with-noise.mp4 -o clean.wav --reference my-samples/talker-with-noise.reference.wav
    """
    from avse.data.synthetic.clips import make_samples

    for path in make_samples(folder, seed, force):
        if not quiet:
            typer.echo(path)
