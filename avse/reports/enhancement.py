"""The report of ``avse enhance``: one recording before and after, and the target speaker's face."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from avse.evaluation.metrics import METRICS
from avse.evaluation.statistics import score_of
from avse.io.formats import describe_audio
from avse.reports.audio_player import make_player_tracks, time_ticks
from avse.reports.page import data_uri, number, signed, span, write_page
from avse.reports.spectrogram import COLOURS, RANGE_DB
from avse.reports.svg import tag

PLAYED_SECONDS = 60.0
NUM_COLUMNS = 600
Intervals = Sequence[tuple[float, float]]


def enhancement_report(
    result: dict[str, Any],
    before: Path,
    after: Path,
    output: Path,
    thumbnails: Mapping[int, bytes] | None = None,
    seen: list[tuple[float, float]] | None = None,
    *,
    audio_track: int | None = None,
    output_track: int | None = None,
) -> Path:
    """Write a page about one enhanced recording.

    Args:
        result: what `avse.enhancement.result.Result.as_dict` returns; the page shows the values that exist.
        before, after: the recording and its enhanced form, of any length; the page holds their first minute to listen.
        thumbnails: faces as PNG by their numbers, of the people whose voices were kept or removed.
        seen: when the only target speaker was visible, as (from, to) in seconds.
        audio_track: which of several audio tracks of the recording was enhanced, counted from 1; None: the default one.
        output_track: which audio track of the output that is.

    Raises:
        OSError: the page cannot be written. Audio that cannot be read is named in the page.
    """
    sample_rate = 48000 if (result.get("sample_rate") or 0) > 16000 else 16000
    tracks = make_player_tracks(
        [("Before", before), ("After", after)],
        sample_rate=sample_rate, played_seconds=PLAYED_SECONDS, num_columns=NUM_COLUMNS,
        audio_track=audio_track, output_track=output_track,
    )  # fmt: skip
    seconds = float(result.get("duration_seconds") or max((track.seconds for track in tracks), default=0.0))
    images, kept = thumbnails or {}, result.get("speakers") or []
    is_followed = seen is not None and len(kept) < 2
    intervals = [(max(start, 0.0), min(end, seconds)) for start, end in seen or [] if start < seconds]
    return write_page(
        output,
        "enhancement.html.j2",
        title=f"{before.name}, enhanced",
        note=result.get("note") or "",
        tiles=_tiles(result, seconds),
        tracks=tracks,
        range_db=round(RANGE_DB),
        colours=COLOURS,
        ticks=time_ticks(seconds, 10),
        thumbnail=_thumbnail_uri(images, result.get("speaker")),
        seen=draw_timeline(intervals, seconds, "When the face was seen") if is_followed and seconds > 0 else "",
        intervals=intervals_as_text(intervals),
        kept=_people(result, kept if len(kept) > 1 else [], images, seconds),
        removed=_people(result, result.get("removed") or [], images, seconds),
        scores=score_rows(result.get("scores") or {}),
        reasons=score_reasons(result.get("scores") or {}),
        facts=_facts(result, before, after),
    )


def _tiles(result: Mapping[str, Any], seconds: float) -> list[tuple[str, str, str]]:
    """Return label, value and note of the key figures."""
    tiles = [("Length", span(seconds), "")]
    if result.get("num_faces"):
        share = float(result.get("seen_share") or 0.0)
        tiles.append(("Face seen", f"{share:.0%}", "of the time"))
    elapsed = result.get("elapsed_seconds")
    if elapsed and seconds:
        tiles.append(("Processing time", span(elapsed), f"{number(seconds / elapsed, 1)} times real time"))
    scores = result.get("scores") or {}
    gain = score_of({"scores": scores.get("after")}, "si_sdr") - score_of({"scores": scores.get("before")}, "si_sdr")
    if math.isfinite(gain):
        tiles.append(("SI-SDR gain", f"{signed(gain, 1)} dB", "against the reference"))
    return tiles


def _people(
    result: Mapping[str, Any], numbers: Sequence[int], images: Mapping[int, bytes], seconds: float
) -> list[dict[str, Any]]:
    """Return the entries of the page for the people with these face numbers."""
    faces = [face for face in result.get("faces") or [] if face["number"] in numbers]
    return [
        {
            "title": f"Face {face['number']} ({face['position']})",
            "thumbnail": _thumbnail_uri(images, face["number"]),
            "share": f"{face.get('speech_share', 0.0):.0%}",
            "words": intervals_as_text(spoken),
            "timeline": draw_timeline(spoken, seconds, f"When face {face['number']} speaks"),
        }
        for face in faces
        for spoken in [face.get("speech_intervals_seconds", [])]
    ]


def _thumbnail_uri(images: Mapping[int, bytes], number: int | None) -> str:
    """Return the thumbnail of a face as a data URI; empty if there is none."""
    image = images.get(number) if number else None
    return data_uri("image/png", image) if image else ""


def draw_timeline(intervals: Intervals, seconds: float, label: str) -> Markup:
    """Draw intervals in seconds as bars over the length of the recording."""
    bars = [
        tag("rect", x=f"{1000 * start / seconds:.2f}", y=0, width=f"{1000 * (end - start) / seconds:.2f}", height=1)
        for start, end in intervals
    ]
    return tag(
        "svg", *bars, class_="seen", viewBox="0 0 1000 1", preserveAspectRatio="none", role="img",
        aria_label=label,
    )  # fmt: skip


def intervals_as_text(intervals: Intervals, most: int = 12) -> str:
    """Return intervals in seconds as text, the first ``most`` of them."""
    words = [f"{span(start)} to {span(end)}" for start, end in intervals[:most]]
    more = [f"and {len(intervals) - most} times more"] if len(intervals) > most else []
    return ", ".join([*words, *more])


def score_rows(scores: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return metric, before, after and gain as text; empty where nothing was scored."""
    lines = []
    for metric in METRICS.values():
        before, after = (score_of({"scores": scores.get(time)}, metric.key) for time in ("before", "after"))
        if math.isfinite(before) or math.isfinite(after):
            words = number(before, metric.digits), number(after, metric.digits), signed(after - before, metric.digits)
            lines.append((metric.heading, *words))
    return lines


def score_reasons(scores: Mapping[str, Any]) -> list[str]:
    """Return why scores are missing, one sentence each."""
    return [
        f"{name}, {time}: {reason}"
        for time, reasons in (scores.get("reasons") or {}).items()
        for name, reason in reasons.items()
    ]


def _facts(result: Mapping[str, Any], before: Path, after: Path) -> list[tuple[str, str]]:
    facts = [("recording", str(result.get("input") or before)), ("output", str(result.get("output") or after))]
    if model := result.get("model"):
        facts.append(("model", str(model)))
    if rate := result.get("sample_rate"):
        facts.append(("audio", describe_audio(rate, result.get("num_channels", 1))))
    if "num_faces" in result:
        facts.append(("faces in the video", str(result["num_faces"])))
    if factor := result.get("real_time_factor"):
        facts.append(("seconds of processing per second of recording", number(factor, 2)))
    return facts
