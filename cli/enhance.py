"""``avse enhance``: one recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avse.io.ffmpeg import DEFAULT_LIMITS, Limits

from .each import check_each, each_folder, enhance_all
from .options import (
    SPEAKERS,
    AudioTrack,
    Bitrate,
    Device,
    Json,
    KeepTracks,
    Loudness,
    MaxMegabytes,
    MaxSeconds,
    Model,
    NoVideo,
    Quiet,
    Strength,
    complete,
    lufs,
)
from .pipes import PIPE, open_ends
from .progress import progress
from .reports import check_report, is_page, write_report

if TYPE_CHECKING:
    from avse.enhancement.result import Result


Recording = Annotated[Path, typer.Argument(help="Video or audio file in any common format; - for standard input.")]
OUTPUT_HELP = (
    "File to write: .wav, .flac, .mp3, .m4a, .ogg, .opus; .mp4, .mkv or .mov keep the video; - for WAV on stdout."
)
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help=OUTPUT_HELP),
]
Speaker = Annotated[
    str,
    typer.Option(
        metavar="|".join((*SPEAKERS, "all", "NUMBER")),
        autocompletion=complete(*SPEAKERS, "all"),
        help="Target speaker; a number is one of avse faces; all writes one file per face into the folder -o.",
    ),
]
Reference = Annotated[
    Path | None, typer.Option(help="Clean recording of the same voice: print PESQ, STOI, ESTOI, SI-SDR.")
]
Report = Annotated[Path | None, typer.Option(help="Write a report: .html with audio players, or .json.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite output and report.")]


def enhance(
    recording: Recording,
    output: Output = None,
    model: Model = "avse",
    device: Device = "auto",
    speaker: Speaker = "active",
    no_video: NoVideo = False,
    strength: Strength = 1.0,
    loudness: Loudness = "keep",
    audio_track: AudioTrack = None,
    reference: Reference = None,
    report: Report = None,
    max_seconds: MaxSeconds = DEFAULT_LIMITS.max_seconds,
    max_megabytes: MaxMegabytes = DEFAULT_LIMITS.max_megabytes,
    bitrate: Bitrate = None,
    keep_tracks: KeepTracks = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Extract one person's speech from a recording.

    The output keeps the sample rate, the channels and the length of the recording.

    Example: avse enhance interview.mp4 -o clean.mp4
    """
    from avse.active_speaker import selection
    from avse.enhancement.pipeline import enhance as run
    from avse.enhancement.validation import check_paths
    from avse.evaluation.reference import compare_files, read_reference
    from avse.io import atomic
    from avse.io.encoding import OutputSettings

    settings: dict[str, Any] = {
        "model": model, "device": device, "strength": strength, "audio_track": audio_track,
        "limits": Limits(max_seconds, max_megabytes), "force": force,
    }  # fmt: skip
    if folder := each_folder(speaker, output):
        check_each(recording, folder, no_video or reference or report or loudness != "keep" or bitrate or keep_tracks)
        return enhance_all(recording, folder, quiet, as_json, **settings)
    assert output
    selection.parse_speaker(speaker, "all")
    source, target = open_ends(recording, output)
    check_paths(source, target, force)
    _check_extras(recording, output, reference, report, force)
    clean = read_reference(reference, recording, audio_track, settings["limits"]) if reference else None
    with progress(quiet) as show:
        result = run(
            source, target, use_video=not no_video, speaker=speaker, loudness_lufs=lufs(loudness), on_progress=show,
            with_thumbnail=is_page(report), settings=OutputSettings(bitrate, keep_tracks), **settings,
        )  # fmt: skip
        summary = result.as_dict()
        if clean is not None:
            summary["scores"] = compare_files(clean, recording, output, audio_track, settings["limits"])
    if report:
        with atomic.never_replacing([report], force):
            write_report(report, result, summary, recording, output, audio_track)
    _tell(result, summary, recording, output, quiet, as_json)


def _tell(result: Result, summary: dict[str, Any], recording: Path, output: Path, quiet: bool, as_json: bool) -> None:
    """What was done; on standard error where standard output is for the sound."""
    from avse.errors import printable
    from avse.evaluation.reference import table
    from avse.io import jsonl

    if as_json:
        typer.echo(jsonl.to_json(summary), err=output == PIPE)
    elif not quiet:
        speed = f"{summary['elapsed_seconds']:.1f} s for {result.duration_seconds:.1f} s"
        done = f"{printable(f'{recording} -> {output}')}  ({speed}; {result.num_channels} x {result.sample_rate} Hz)"
        typer.echo(f"{done}\n{result.note}", err=output == PIPE)
        if summary["scores"]:
            typer.echo(table(summary["scores"]))


def _check_extras(recording: Path, output: Path, reference: Path | None, report: Path | None, force: bool) -> None:
    """UsageError, before any work, for a reference or a report that do not go with recording and output."""
    from avse.errors import UsageError
    from avse.io import atomic

    read = [path for path in (recording, reference) if path and path != PIPE]
    through_pipe = PIPE in (recording, output)
    if output != PIPE:
        atomic.check_output(output, force, read)
    if reference and through_pipe:
        raise UsageError("--reference does not work with pipes.", "Use files, or omit --reference.")
    if report:
        atomic.check_output(report, force, read)
        check_report(report, output)
        if is_page(report) and through_pipe:
            raise UsageError("--report page.html does not work with pipes.", "Use files, or a .json report.")
