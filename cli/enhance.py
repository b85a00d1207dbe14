"""``avse enhance``: one recording."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avse.sandbox import ORDINARY, Limits

from .each import each_folder, enhance_all
from .pipes import PIPE, lufs, open_ends
from .progress import progress
from .reports import is_page, write_report


def enhance(
    recording: Annotated[Path, typer.Argument(help="Video or sound file, in any usual format; - for standard input.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="clean.wav, .flac; or .mp4, .mkv, .mov: picture kept; - for WAV."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a model, or path of a .safetensors checkpoint.")] = "avse",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    speaker: Annotated[
        str, typer.Option(help="active, largest, left, right, or a number; all: every face, into the folder -o.")
    ] = "active",
    no_video: Annotated[bool, typer.Option("--no-video", help="Ignore the picture; use the sound alone.")] = False,
    strength: Annotated[
        float, typer.Option(help="0 changes nothing, 1 keeps the voice alone; 0.9 keeps the rest 20 dB lower.")
    ] = 1.0,
    loudness: Annotated[str, typer.Option(help="Bring the output to so many LUFS, such as -16; or keep.")] = "keep",
    audio_track: Annotated[int, typer.Option(help="Which of several sound tracks, counted from 1.")] = 1,
    reference: Annotated[
        Path | None, typer.Option(help="The same voice recorded clean: scores before and after (PESQ, STOI, ...).")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was done: page.html with players, or .json.")] = None,
    max_seconds: Annotated[float, typer.Option(help="Refuse a longer recording.")] = ORDINARY.max_seconds,
    max_megabytes: Annotated[float, typer.Option(help="Refuse a larger file or stream.")] = ORDINARY.max_megabytes,
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
    from avse.errors import UsageError, printable
    from avse.evaluation.compare import compare_files, read_reference, table

    folder = each_folder(speaker, output)
    if folder:
        if no_video or reference or report or loudness != "keep" or recording == PIPE:
            raise UsageError(
                "Sounds of all faces have no single score, report or loudness, and come from a file with a picture.",
                "Leave --reference, --report, --loudness and --no-video away, or name one speaker.",
            )
        settings = {"model": model, "device": device, "strength": strength, "audio_track": audio_track, "force": force}
        return enhance_all(recording, folder, quiet, as_json, limits=Limits(max_seconds, max_megabytes), **settings)
    assert output
    source, target = open_ends(recording, output)
    check_paths(source, target, force)
    _check_extras(recording, output, reference, report, force)
    clean = read_reference(reference, recording) if reference else None
    with progress(quiet) as show:
        result = run(
            source, target, model=model, device=device, use_video=not no_video, speaker=speaker, strength=strength,
            loudness_lufs=lufs(loudness), audio_track=audio_track, force=force, on_progress=show,
            with_thumbnail=is_page(report),
            limits=Limits(max_seconds, max_megabytes),
        )  # fmt: skip
        summary = result.as_dict()
        if clean is not None:
            summary["scores"] = compare_files(clean, recording, output)
    if report:
        write_report(report, result, summary, recording, output, audio_track)
    if as_json:
        typer.echo(files.to_json(summary), err=target is not output)
    elif not quiet:
        speed = f"{summary['elapsed_seconds']:.1f} s for {result.duration_seconds:.1f} s"
        typer.echo(
            f"{printable(f'{recording} -> {output}')}  ({speed}; {result.num_channels} x {result.sample_rate} Hz)\n"
            f"{result.note}", err=target is not output,
        )  # fmt: skip
        if clean is not None:
            typer.echo(table(summary["scores"]))


def _check_extras(recording: Path, output: Path, reference: Path | None, report: Path | None, force: bool) -> None:
    """UsageError, before any work, for a reference or a report that do not go with recording and output."""
    from avse import files
    from avse.errors import UsageError

    read = [path for path in (recording, reference) if path and path != PIPE]
    through_pipe = PIPE in (recording, output)
    if output != PIPE:
        files.check_output(output, force, read)
    if reference and through_pipe:
        raise UsageError("Scores need files.", "Leave --reference away, or name files for input and output.")
    if report:
        files.check_output(report, force, read)
        if report.absolute() == output.absolute():
            raise UsageError(f"{report} cannot be both output and report.", "Name two files.")
        if is_page(report) and through_pipe:
            raise UsageError("A page with players needs files.", "Name files for input and output, or a report.json.")
