"""``avse demo``: enhance the sample recordings, with scores before and after."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Device, Model, Quiet
from .progress import progress


def demo(
    folder: Annotated[Path, typer.Argument(help="Output folder; created if needed.")] = Path("avse-demo"),
    model: Model = "avse",
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the files of an earlier demo.")] = False,
    quiet: Quiet = False,
) -> None:
    """Enhance two sample recordings and print their scores.

    The samples show a synthetic talking head, once with a second talker and once with noise. Recordings, clean
    references and results stay in the folder.

    Example: avse demo
    """
    from avse.data.synthetic.clips import make_samples
    from avse.enhancement.pipeline import enhance
    from avse.errors import printable
    from avse.evaluation.reference import compare_files, read_reference, table
    from avse.io import atomic
    from avse.weights.pretrained import load_model

    checkpoint = load_model(model, device)
    samples = make_samples(folder, force=force)
    outputs = [clip.with_suffix(".enhanced.mp4") for clip in samples[::2]]
    for output in outputs:
        atomic.check_output(output, force)
    for clip, reference, output in zip(samples[::2], samples[1::2], outputs, strict=True):
        with progress(quiet) as show:
            enhance(clip, output, model=checkpoint, force=force, on_progress=show)
            scores = compare_files(read_reference(reference, clip), clip, output)
        if not quiet:
            typer.echo(f"{printable(str(clip))} -> {printable(str(output))}\n{table(scores)}\n")
    if not quiet:
        typer.echo("Listen to the files before and after. Then, for your own video:\n\n    avse enhance YOUR-VIDEO.mp4")
