"""``avse enhance``: enhance one recording, or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avse.active_speaker.speaker_choice import SPEAKER_WORDS
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits

from .all_speakers import enhance_each_person, split_speaker
from .listing import report_losses
from .options import (
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
    output_suffix,
)
from .outputs import plan_outputs
from .progress import progress, say
from .reports import check_report, is_page, write_report
from .stdio import PIPE, open_ends

if TYPE_CHECKING:
    from avse.enhancement.result import Result


Recordings = Annotated[
    list[Path],
    typer.Argument(metavar="RECORDING...", help="Video or audio files in any common format; - for standard input."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="File to write: .wav, .flac, .mp3, .m4a, .ogg, .opus; .mp4, .mkv or .mov keep the video; - for WAV on "
        "stdout. By default NAME.enhanced.EXT beside the recording. A folder for several recordings or --speaker all.",
    ),
]
Suffix = Annotated[str | None, typer.Option(metavar="EXT", help="File type of outputs without -o, or in a folder.")]
Speaker = Annotated[
    str,
    typer.Option(
        metavar="|".join((*SPEAKER_WORDS, "all", "NUMBER[,NUMBER]")),
        autocompletion=complete(*SPEAKER_WORDS, "all"),
        help="Target speaker; number: as in avse faces; everyone: all people in one file; all: one file per "
        "person, in the folder -o.",
    ),
]
Background = Annotated[
    Path | None, typer.Option(help="Also write what was removed (.wav, .flac): output + background = recording.")
]
Reference = Annotated[
    Path | None,
    typer.Option(
        help="Clean recording of the same voice: print PESQ, STOI, ESTOI, SI-SDR. With --speaker all: a folder of "
        "face-1.wav, face-2.wav, ..."
    ),
]
Report = Annotated[Path | None, typer.Option(help="Write a report: .html with audio players, or .json.")]
Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite output and report.")]


def enhance(
    recordings: Recordings,
    output: Output = None,
    model: Model = "avse",
    device: Device = "auto",
    speaker: Speaker = "active",
    no_video: NoVideo = False,
    strength: Strength = 1.0,
    loudness: Loudness = "keep",
    audio_track: AudioTrack = None,
    suffix: Suffix = None,
    background: Background = None,
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

    The output keeps the sample rate, the channels and the length of the recording. With several
    people, the active speaker is kept and the other speakers are reported; --speaker everyone keeps them all.

    Example:
    avse enhance interview.mp4
    avse enhance interview.mp4 --speaker everyone -o clean.mp4
    avse enhance interview.mp4 --speaker all -o people
    """
    from avse.active_speaker.speaker_choice import parse_speaker
    from avse.io.encoding import OutputSettings

    settings: dict[str, Any] = {
        "device": device, "strength": strength, "loudness_lufs": lufs(loudness), "audio_track": audio_track,
        "limits": Limits(max_seconds, max_megabytes), "force": force, "background": background,
        "settings": OutputSettings(bitrate, keep_tracks),
    }  # fmt: skip
    speaker, output = split_speaker(speaker, output)
    chosen = parse_speaker(speaker, "all")
    kind = output_suffix(suffix)
    if kind and output and chosen != "all" and len(recordings) == 1:
        raise typer.BadParameter("The file type follows from -o; omit --suffix.", param_hint="--suffix")
    outputs = plan_outputs(recordings, output, chosen == "all", kind)
    _check_single(recordings, reference=reference, report=report, background=background)
    if chosen == "all":

        def work(recording: Path, target: Path, net: Any) -> None:
            enhance_each_person(
                recording, target, kind, no_video, reference, report, quiet, as_json, model=net, **settings
            )

    else:
        for recording, target in zip(recordings, outputs, strict=True):
            _check(recordings, recording, target, reference, report, background, force)

        def work(recording: Path, target: Path, net: Any) -> None:
            options = settings | {"model": net, "use_video": not no_video, "speaker": chosen}
            _enhance_one(recording, target, reference, report, quiet, as_json, options)

    _enhance_many(recordings, outputs, model, device, work)


def _enhance_many(recordings: Sequence[Path], outputs: Sequence[Path], model: str, device: str, work: Any) -> None:
    """Enhance all recordings in turn with one loaded model; a failure sets the exit code and does not stop the rest."""
    from avse.errors import AvseError, printable
    from avse.weights.pretrained import load_model

    if len(recordings) == 1:
        work(recordings[0], outputs[0], model)
        return
    checkpoint, exit_code = load_model(model, device), 0
    for recording, target in zip(recordings, outputs, strict=True):
        try:
            work(recording, target, checkpoint)
        except AvseError as error:
            say(f"avse: {printable(error.message)}\n      {printable(error.hint)}")
            exit_code = exit_code or error.exit_code
    if exit_code:
        raise typer.Exit(exit_code)


def _enhance_one(
    recording: Path, output: Path, reference: Path | None, report: Path | None, quiet: bool, as_json: bool,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Enhance a recording into one output, score it, report on it."""
    from avse.enhancement.pipeline import enhance as run
    from avse.evaluation.reference import compare_files, read_reference
    from avse.io import atomic
    from avse.io.remux import enhanced_track

    source, target = open_ends(recording, output)
    track = options["audio_track"], options["limits"]
    options["background"] = options["background"] or False
    clean = read_reference(reference, recording, *track) if reference else None
    new_track = None
    with progress(quiet) as show:
        result = run(source, target, on_progress=show, with_thumbnail=is_page(report), **options)
        summary = result.as_dict()
        if clean is not None or is_page(report):
            new_track = enhanced_track(recording, output, *track, options["settings"])
        if clean is not None:
            summary["scores"] = compare_files(clean, recording, output, *track, new_track)
    if report:
        with atomic.never_replacing([report], options["force"]):
            write_report(report, result, summary, recording, output, options["audio_track"], new_track)
    _report(result, summary, recording, output, quiet, as_json)


def _report(
    result: Result, summary: Mapping[str, Any], recording: Path, output: Path, quiet: bool, as_json: bool
) -> None:
    """Print the result, on standard error if standard output is for the audio."""
    from avse.errors import printable
    from avse.evaluation.reference import table
    from avse.io import jsonl
    from avse.io.formats import describe_audio

    if as_json:
        typer.echo(jsonl.to_json(summary), err=output == PIPE)
    elif not quiet:
        speed = f"{result.duration_seconds:.1f} s in {summary['elapsed_seconds']:.1f} s"
        audio = describe_audio(result.sample_rate, result.num_channels)
        done = f"{printable(f'{recording} -> {output}')}  ({speed}; {audio})"
        typer.echo("\n".join([done, *_lines(result)]), err=output == PIPE)
        if summary["scores"]:
            typer.echo(table(summary["scores"]))
    else:
        report_losses(recording, summary["warnings"])


def _lines(result: Result) -> list[str]:
    """Return the note, with a separate line for each person whose voice was removed."""
    removed = [warning.text for warning in result.warnings if warning.code == "speaker_removed"]
    return [" ".join(result.note.replace(" ".join(removed), "").split()), *removed]


def _check_single(recordings: Sequence[Path], **options: Path | None) -> None:
    """Raise UsageError for options that name one file, if there are several recordings."""
    from avse.errors import UsageError

    named = [f"--{name}" for name, value in options.items() if value]
    if len(recordings) > 1 and named:
        raise UsageError(f"{', '.join(named)} cannot be used with several recordings.", "Enhance them one by one.")


def _check(
    recordings: Sequence[Path], recording: Path, output: Path, reference: Path | None, report: Path | None,
    background: Path | None, force: bool,
) -> None:  # fmt: skip
    """Raise UsageError, before any work, for inputs and outputs that cannot be combined."""
    from avse.enhancement.validation import check_background, check_paths
    from avse.errors import UsageError
    from avse.io import atomic

    source, target = open_ends(recording, output)
    read = [path for path in (*recordings, reference) if path and path != PIPE]
    check_paths(source, target, force)
    check_background(source, target, background, force)
    through_pipe = PIPE in (recording, output)
    for path in (output, background):
        if path and path != PIPE:
            atomic.check_output(path, force, read)
    if reference and through_pipe:
        raise UsageError("--reference does not work with pipes.", "Use files, or omit --reference.")
    if report:
        atomic.check_output(report, force, read)
        check_report(report, output)
        if is_page(report) and through_pipe:
            raise UsageError("--report page.html does not work with pipes.", "Use files, or a .json report.")
