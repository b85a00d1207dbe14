"""The report of ``avse enhance --speaker all``: the recording, and a section for each person."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avse.io.formats import describe_audio
from avse.reports.audio_player import make_player_tracks, time_ticks
from avse.reports.enhancement import (
    NUM_COLUMNS,
    PLAYED_SECONDS,
    draw_timeline,
    intervals_as_text,
    score_reasons,
    score_rows,
)
from avse.reports.page import data_uri, number, span, write_page
from avse.reports.spectrogram import COLOURS, RANGE_DB


def all_speakers_report(
    summary: Mapping[str, Any], recording: Path, folder: Path, output: Path, *, audio_track: int | None = None,
    output_track: int | None = None,
) -> Path:  # fmt: skip
    """Write one page about a recording with one output per person.

    Args:
        summary: what `avse.enhancement.all_speakers.enhance_all` returns; a face may also have ``scores``.
        recording: the recording itself, of any length; the page holds its first minute to listen, and of each person.
        folder: where the files of the faces are.
        audio_track: which of several audio tracks of the recording was enhanced, counted from 1; None: the default one.
        output_track: which audio track of each output that is.

    Raises:
        OSError: the page cannot be written. An audio file that cannot be read is named in the page.
    """
    faces = summary["faces"]
    voices = [face for face in faces if face["audio"]]
    sources = [("Recording", recording), *((_title(face), folder / face["audio"]) for face in voices)]
    tracks = make_player_tracks(
        sources, sample_rate=48000 if summary["sample_rate"] > 16000 else 16000, played_seconds=PLAYED_SECONDS,
        num_columns=NUM_COLUMNS, audio_track=audio_track, output_track=output_track,
    )  # fmt: skip
    seconds = float(summary["duration_seconds"])
    track_of = dict(zip((face["number"] for face in voices), tracks[1:], strict=True))
    return write_page(
        output,
        "all_speakers.html.j2",
        title=f"{recording.name}, each speaker separately",
        note=summary["note"],
        tiles=_tiles(summary, seconds),
        recording=tracks[0],
        range_db=round(RANGE_DB),
        colours=COLOURS,
        ticks=time_ticks(seconds, 10),
        people=[_person(face, track_of.get(face["number"]), folder, seconds) for face in faces],
        facts=_facts(summary, folder),
    )


def _title(face: Mapping[str, Any]) -> str:
    return f"Face {face['number']} ({face['position']})"


def _person(face: Mapping[str, Any], track: Any, folder: Path, seconds: float) -> dict[str, Any]:
    """Return what the section of a face shows."""
    thumbnail = folder / face["thumbnail"] if face["thumbnail"] else None
    spoken = face.get("speech_intervals_seconds", [])
    scores = face.get("scores") or {}
    return {
        "id": f"face-{face['number']}",
        "title": _title(face),
        "track": track,
        "thumbnail": data_uri("image/png", thumbnail.read_bytes()) if thumbnail else "",
        "share": f"{face.get('speech_share', 0.0):.0%}",
        "words": intervals_as_text(spoken),
        "timeline": draw_timeline(spoken, seconds, f"When face {face['number']} speaks") if seconds > 0 else "",
        "reason": face.get("reason", ""),
        "scores": score_rows(scores),
        "reasons": score_reasons(scores),
    }


def _tiles(summary: Mapping[str, Any], seconds: float) -> list[tuple[str, str, str]]:
    """Return label, value and note of the key figures."""
    tiles = [("Length", span(seconds), ""), ("Faces", str(summary["num_faces"]), "")]
    if elapsed := summary.get("elapsed_seconds"):
        tiles.append(("Processing time", span(elapsed), f"{number(seconds / elapsed, 1)} times real time"))
    return tiles


def _facts(summary: Mapping[str, Any], folder: Path) -> list[tuple[str, str]]:
    facts = [("recording", str(summary["recording"])), ("outputs", str(folder)), ("model", str(summary["model"]))]
    facts.append(("audio", describe_audio(summary["sample_rate"], summary["num_channels"])))
    if summary.get("background"):
        facts.append(("background", str(summary["background"])))
    return facts
