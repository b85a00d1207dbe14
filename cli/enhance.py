"""``avse enhance``: one recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .progress import progress


def enhance(
    recording: Annotated[Path, typer.Argument(help="Video or sound file, in any format that ffmpeg reads.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="clean.wav, .flac; or .mp4, .mkv, .mov: picture kept.")
    ],
    model: Annotated[str, typer.Option(help="Name of a model, or path of a .safetensors checkpoint.")] = "avse",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    no_video: Annotated[bool, typer.Option("--no-video", help="Ignore the picture; use the sound alone.")] = False,
    reference: Annotated[
        Path | None, typer.Option(help="The same voice recorded clean: scores before and after (PESQ, STOI, ...).")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was done as JSON to this file.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace output and report if they exist.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was done as one line of JSON.")] = False,
) -> None:
    """Write the voice of the person one sees, without the other voices and the noise.

    The sound keeps its rate, its channels and its length. Example: avse enhance interview.mp4 -o clean.mp4
    """
    from avse import files
    from avse.enhance import check_paths
    from avse.enhance import enhance as run
    from avse.errors import UsageError
    from avse.evaluation.compare import compare_files, read_reference, table

    check_paths(recording, output, force)
    read = [recording, reference] if reference else [recording]
    files.check_output(output, force, read)
    if report:
        files.check_output(report, force, read)
        if report.absolute() == output.absolute():
            raise UsageError(f"{report} cannot be both output and report.", "Name two files.")
    clean = read_reference(reference, recording) if reference else None
    with progress(quiet) as show:
        result = run(
            recording, output, model=model, device=device, use_video=not no_video, force=force, on_progress=show
        )
        summary = result.as_dict()
        if clean is not None:
            summary["scores"] = compare_files(clean, recording, output)
    if report:
        files.write_json(report, summary)
    if as_json:
        typer.echo(files.to_json(summary))
    elif not quiet:
        speed = f"{summary['elapsed_seconds']:.1f} s for {result.duration_seconds:.1f} s"
        typer.echo(
            f"{recording} -> {output}  ({speed}; {result.num_channels} x {result.sample_rate} Hz)\n{result.note}"
        )
        if clean is not None:
            typer.echo(table(summary["scores"]))
