"""``avse faces``: the faces in a recording and their correlation with the audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from avse.io.ffmpeg import DEFAULT_LIMITS, Limits

from .options import AudioTrack, Device, Json, MaxMegabytes, MaxSeconds, Model, Quiet
from .progress import progress
from .tables import write_table

HEADER = ("face", "where", "from", "to", "seen", "size", "speaks", "mouth moves", "correlation")


def faces(
    recording: Annotated[Path, typer.Argument(help="Video file in any common format.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Contact sheet to write (.png).")] = None,
    rttm: Annotated[Path | None, typer.Option(help="Write who speaks when as NIST RTTM, .rttm.")] = None,
    model: Model = "avse",
    device: Device = "auto",
    audio_track: AudioTrack = None,
    max_seconds: MaxSeconds = DEFAULT_LIMITS.max_seconds,
    max_megabytes: MaxMegabytes = DEFAULT_LIMITS.max_megabytes,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite contact sheet and RTTM.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List the faces in a recording and number them for --speaker.

    Faces are numbered by size, the largest first. A star marks the active speaker. "seen" is the share of the recording
    in which a face is visible; "speaks" the time in which it speaks; "mouth moves" the share of the visible time in
    which the mouth moves as in speech; "correlation" the correlation of lips and audio: below 0.03 there is hardly any
    match, above 0.15 the match is clear.

    Example:
    avse faces panel.mp4 -o sheet.png --rttm panel.rttm
    avse enhance panel.mp4 --speaker 2 -o clean.wav
    """
    from avse.active_speaker import selection
    from avse.active_speaker.rttm import write_rttm
    from avse.config import VIDEO_FPS
    from avse.enhancement.all_speakers import analyse_recording
    from avse.faces.contact_sheet import write_contact_sheet
    from avse.io import atomic, jsonl
    from avse.weights.pretrained import load_model

    _check_outputs(recording, output, rttm, force)
    with progress(quiet) as show:
        limits = Limits(max_seconds, max_megabytes)
        analysis = analyse_recording(recording, load_model(model, device), show, audio_track=audio_track, limits=limits)
        scene = analysis.selection.scene
        facts = [scene.facts(k, analysis.stats.num_frames) for k in range(len(scene.tracks))]
        active = selection.select_face(scene, "active")
        seconds = analysis.stats.num_frames / VIDEO_FPS
        with atomic.never_replacing([output, rttm], force):
            if output and facts:
                write_contact_sheet(output, analysis.recording, scene.tracks, facts, seconds, active)
            if rttm:
                write_rttm(rttm, recording.stem, facts)
    for notice in analysis.recording.notices:
        if notice.is_loss or not quiet:
            typer.echo(notice.text, err=True)
    if as_json:
        number = None if active is None else active + 1
        typer.echo(jsonl.to_json({"recording": str(recording), "active": number, "faces": facts}))
    elif not facts and not quiet:
        typer.echo("The video shows no moving face.")
    elif not quiet:
        write_table([row(values, values["number"] - 1 == active) for values in facts], HEADER)


def _check_outputs(recording: Path, sheet: Path | None, rttm: Path | None, force: bool) -> None:
    """Raise UsageError for an output that cannot be written."""
    from avse.errors import UsageError
    from avse.io import atomic

    for path in filter(None, (sheet, rttm)):
        atomic.check_output(path, force, [recording])
    if sheet and sheet.suffix.lower() != ".png":
        raise UsageError(f"Cannot write a contact sheet as '{sheet.suffix}'.", "Use a name that ends in .png.")


def row(values: dict[str, Any], is_active: bool) -> list[str]:
    """Return one face as a row of the table."""
    from avse.faces.contact_sheet import clock

    left, top, right, bottom = values["box_pixels"]
    moves, fits = (values.get(name) for name in ("mouth_motion_share", "av_correlation"))
    return [
        f"{values['number']}{'*' if is_active else ''}", values["position"],
        clock(values["intervals_seconds"][0][0]), clock(values["intervals_seconds"][-1][1]),
        f"{values['seen_share']:.0%}", f"{right - left}x{bottom - top}", f"{values['speech_seconds']:.1f} s",
        "-" if moves is None else f"{moves:.0%}", "-" if fits is None else f"{fits:.2f}",
    ]  # fmt: skip
