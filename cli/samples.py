"""``avse samples``: write small synthetic recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def samples(
    folder: Annotated[Path, typer.Argument(help="Output folder; created if needed.")] = Path("samples"),
    seed: Annotated[int, typer.Option(min=0, help="Random seed of speech and noise.")] = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite existing files.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not list the files.")] = False,
) -> None:
    """Write two small sample recordings.

    They show a talking head, once with a second talker and once with noise, each with a clean reference. Faces and
    voices are synthetic; the same seed gives the same recordings.

    Example: avse samples my-samples
    avse enhance my-samples/talker-with-noise.mp4 -o clean.wav --reference my-samples/talker-with-noise.reference.wav
    """
    from avse.data.synthetic.clips import make_samples

    for path in make_samples(folder, seed, force):
        if not quiet:
            typer.echo(path)
