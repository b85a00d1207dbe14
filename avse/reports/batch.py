"""The report of ``avse batch``: status of each recording, failures with reasons, throughput."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from markupsafe import Markup

from avse.evaluation.metrics import METRICS
from avse.evaluation.statistics import score_of
from avse.reports.charts import Points, histogram, scatter
from avse.reports.page import NOTHING, facts_of, is_number, number, signed, span, write_page
from avse.reports.svg import tag

ORDER = {"failed": 0, "done": 1, "skipped": 2}
Row = Mapping[str, Any]


def batch_report(rows: Sequence[Row], summary: Row, output: Path) -> Path:
    """Write a page about a batch of recordings.

    Args:
        rows: one for each recording: item, status ("done", "skipped" or "failed"), error, hint, elapsed_seconds,
            duration_seconds, num_faces, seen_share, scores, losses, output; None if there is no value.
        summary: facts about the run, shown unchanged. Its ``elapsed_seconds`` (of the whole run) and
            ``recording_seconds`` give the throughput; its counts "done", "skipped" and "failed" are those of this run.

    Raises:
        OSError: the page cannot be written.
    """
    ordered = sorted(rows, key=lambda row: ORDER.get(str(row.get("status")), 1))
    done = [row for row in rows if row.get("status") == "done"]
    counts = Counter(str(row.get("status")) for row in rows)
    return write_page(
        output,
        "batch.html.j2",
        title="Batch: "
        + (f"{counts['failed']} of {len(rows)} failed" if counts["failed"] else f"{len(rows)} recordings"),
        counts=[int(summary.get(status, counts[status])) for status in ("done", "skipped", "failed")],
        tiles=_tiles(done, summary),
        failures=[_failure(row) for row in ordered if row.get("status") == "failed"],
        losses=[(str(row["item"]), row["losses"]) for row in ordered if row.get("losses")],
        charts=_charts(done),
        table=_table(ordered),
        facts=facts_of(summary),
        num_rows=len(rows),
    )


def _tiles(done: Sequence[Row], summary: Row) -> list[tuple[str, str, str]]:
    """Return label, value and note of the key figures."""
    length = float(_column(done, "duration_seconds").sum())
    tiles = [("Recordings enhanced", str(len(done)), ""), ("Total duration", span(length), "")]
    elapsed = summary.get("elapsed_seconds")
    if isinstance(elapsed, int | float) and elapsed > 0:
        tiles.append(("Processing time", span(elapsed), ""))
        speed = float(summary.get("recording_seconds", length)) / float(elapsed)
        tiles.append(("Throughput", f"{number(speed, 1)} \N{MULTIPLICATION SIGN}", "real time, all jobs together"))
    seen = _column(done, "seen_share")
    if len(seen):
        tiles.append(("Face seen", f"{seen.mean():.0%}", "of the time, mean over recordings"))
    return tiles


def _charts(done: Sequence[Row]) -> list[tuple[str, Markup]]:
    """Return the charts that have values: time against length, visible share, gain against a reference."""
    charts = []
    timed = [row for row in done if is_number(row.get("duration_seconds")) and is_number(row.get("elapsed_seconds"))]
    if timed:
        words = [
            f"{row['item']}: {span(row['duration_seconds'])}, took {span(row['elapsed_seconds'])}" for row in timed
        ]
        points = Points(_column(timed, "duration_seconds"), _column(timed, "elapsed_seconds"), words)
        charts.append(
            (
                "Processing time against duration",
                scatter(points, "duration of the recording, s", "processing time, s", 1),
            )
        )
    if len(seen := _column(done, "seen_share")):
        charts.append(("Visibility of the face", histogram(100 * seen, "share of the time, %", "recordings")))
    gains = np.array([_gain(row) for row in done], float)
    if len(gains := gains[np.isfinite(gains)]):
        charts.append(("SI-SDR gain against the references", histogram(gains, "SI-SDR gain, dB", "recordings")))
    return charts


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    """Return all rows as text, with scores only where something was scored."""
    metrics = [
        metric for metric in METRICS.values() if any(math.isfinite(score_of(_after(row), metric.key)) for row in rows)
    ]
    headers = [("Recording", False), ("Status", False), ("Length, s", True), ("Time, s", True), ("Faces", True)]
    headers += [("Face seen, %", True)]
    headers += [(metric.heading, True) for metric in metrics]
    headers += [("SI-SDR gain, dB", True)] if any(math.isfinite(_gain(row)) for row in rows) else []
    lines = []
    for row in rows:
        status = str(row.get("status"))
        why = row.get("error") or (row.get("scores") or {}).get("reason")
        words = [_linked(row), f"{status}: {why}" if why else status]
        words += [number(row.get("duration_seconds"), 1), number(row.get("elapsed_seconds"), 1)]
        words += [str(row["num_faces"]) if row.get("num_faces") is not None else NOTHING]
        words += [number(100 * row["seen_share"], 0) if is_number(row.get("seen_share")) else NOTHING]
        words += [number(score_of(_after(row), metric.key), metric.digits) for metric in metrics]
        words += [signed(_gain(row), 1)] if headers[-1][0].startswith("SI-SDR gain") else []
        lines.append(("failed" if status == "failed" else "", words))
    return {"headers": headers, "rows": lines}


def _linked(row: Row) -> str:
    """Return the name of a recording as a link to its output if that is beside the page."""
    output = str(row.get("output") or "")
    if row.get("status") == "failed" or not output or ":" in output or output.startswith(("/", "\\")):
        return str(row["item"])
    return tag("a", str(row["item"]), href=f"./{quote(output)}")


def _failure(row: Row) -> tuple[str, str, str]:
    return str(row["item"]), str(row.get("error") or "no reason given"), str(row.get("hint") or "")


def _after(row: Row) -> Row:
    """Return a row with the scores of the output, whether it stores scores before and after, or after only."""
    scores = row.get("scores") or {}
    return {"scores": scores.get("after", scores)}


def _gain(row: Row) -> float:
    before = {"scores": (row.get("scores") or {}).get("before")}
    return score_of(_after(row), "si_sdr") - score_of(before, "si_sdr")


def _column(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows if is_number(row.get(name))], float)
