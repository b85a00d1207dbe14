"""``avse enhance --speaker all``: one file per person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from .listing import report_losses
from .progress import progress
from .reports import check_report, is_page
from .stdio import PIPE


def split_speaker(speaker: str, output: Path | None) -> tuple[str, Path | None]:
    """Return speaker and output; ``each:FOLDER`` is an earlier way to say ``--speaker all -o FOLDER``."""
    if not speaker.startswith("each:"):
        return speaker, output
    if output or speaker == "each:":
        raise typer.BadParameter("each:FOLDER names the output folder; omit -o.", param_hint="--speaker")
    return "all", Path(speaker.removeprefix("each:"))


def enhance_each_person(
    recording: Path, folder: Path, suffix: str | None, no_video: bool, reference: Path | None, report: Path | None,
    quiet: bool, as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """Write one file per person; score each against ``reference``/face-1.wav and so on; report on all of them."""
    from avse.enhancement.all_speakers import FACES_JSON, enhance_all
    from avse.evaluation.face_references import read_face_references, score_faces
    from avse.io import atomic, jsonl
    from avse.io.remux import enhanced_track

    _check(recording, folder, no_video, reference, report, settings["force"])
    track = settings["audio_track"], settings["limits"]
    clean = read_face_references(reference, recording, *track) if reference else {}
    with progress(quiet) as show:
        summary = enhance_all(recording, folder, suffix=suffix or ".wav", on_progress=show, **settings)
        new_track = enhanced_track(recording, folder / f"face-1{suffix or '.wav'}", *track, settings["settings"])
        if clean:
            score_faces(summary["faces"], clean, recording, folder, *track, new_track)
            jsonl.write_json(folder / FACES_JSON, summary)
    if report:
        with atomic.never_replacing([report], settings["force"]):
            _write_report(summary, recording, folder, report, settings["audio_track"], new_track)
    _report(summary, folder, quiet, as_json)


def _write_report(
    summary: dict[str, Any], recording: Path, folder: Path, report: Path, audio_track: int | None,
    output_track: int | None,
) -> None:  # fmt: skip
    from avse.io import jsonl

    if not is_page(report):
        jsonl.write_json(report, summary)
        return
    from avse.reports.all_speakers import all_speakers_report

    all_speakers_report(summary, recording, folder, report, audio_track=audio_track, output_track=output_track)


def _check(
    recording: Path, folder: Path, no_video: bool, reference: Path | None, report: Path | None, force: bool
) -> None:
    """Raise UsageError, before any work, for options that do not apply to one file per person."""
    from avse.errors import UsageError
    from avse.io import atomic

    if no_video:
        raise UsageError("--speaker all needs the video.", "Omit --no-video or --speaker.")
    if PIPE in (recording, folder):
        raise UsageError("--speaker all reads a file and writes a folder.", "Use both: IN.mp4 --speaker all -o DIR")
    if reference and not reference.is_dir():
        raise UsageError(
            f"With --speaker all, --reference must be a folder, and {reference} is not.",
            "Use a folder with face-1.wav, face-2.wav, ..., numbered as by avse faces.",
        )
    if reference and reference.resolve() == folder.resolve():
        raise UsageError(f"{folder} is both the reference and the output.", "Use two different folders.")
    if report:
        atomic.check_output(report, force, [recording])
        check_report(report, folder)


def _report(summary: dict[str, Any], folder: Path, quiet: bool, as_json: bool) -> None:
    from avse.enhancement.all_speakers import FACES_JSON
    from avse.enhancement.result import format_intervals
    from avse.errors import printable
    from avse.evaluation.reference import table
    from avse.io import jsonl

    if as_json:
        typer.echo(jsonl.to_json(summary))
    elif not quiet:
        for face in summary["faces"]:
            speech = format_intervals(face.get("speech_intervals_seconds", [])) or "never"
            about = f"face {face['number']} ({face['position']}), seen {face['seen_share']:.0%} of the time"
            if face["audio"]:
                typer.echo(f"{printable(str(folder / face['audio']))}  {about}; speaks {speech}")
            else:
                typer.echo(f"{about}: {face['reason']}")
            if "scores" in face:
                typer.echo(table(face["scores"]))
        typer.echo(printable(str(folder / FACES_JSON)))
        for note in summary["notes"]:
            typer.echo(note)
    else:
        report_losses(summary["recording"], summary["warnings"])
