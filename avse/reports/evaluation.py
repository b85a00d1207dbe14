"""The report of ``avse evaluate``: scores of each system by condition, with examples to listen to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from avse.evaluation.metrics import Metric
from avse.evaluation.rows import Row, Summary
from avse.evaluation.statistics import UNPROCESSED, Mean, ScoreTable, score_of, subset_of
from avse.reports.audio_player import BYTES_PER_SECOND, PlayerTrack, make_player_tracks, time_ticks
from avse.reports.charts import Points, Series, distributions, scatter
from avse.reports.page import NOTHING, facts_of, number, signed, write_page
from avse.reports.spectrogram import COLOURS, RANGE_DB

NUM_SHOWN = 10
AUDIO_BYTES = 8_000_000
"""Total size of all audio in the page, as base64."""
MAX_PLAYED_SECONDS = 30.0
NUM_COLUMNS = 240
RANKED_BY = "si_sdr"
NUM_TONES = 6
NUM_READERS = 4


@dataclass(frozen=True)
class Line:
    """Hold one line of the summary: a system in a condition, with the mean of each metric and of its gain."""

    method: str
    tone: int
    num_items: int
    num_failed: int
    worse_share: float
    means: list[tuple[Metric, Mean, Mean]]


@dataclass(frozen=True)
class Example:
    """Hold one item to listen to."""

    item: str
    subset: str
    facts: list[tuple[str, str, str]]
    tracks: list[PlayerTrack]


def evaluation_report(rows: Sequence[Row], summary: Summary, output: Path) -> Path:
    """Write the results of an evaluation as one page.

    Args:
        rows: one for each item and method: item, subset, method, status, reason, seconds, elapsed_seconds, scores, and
            the paths mixture, reference and estimate; None where something is missing. The method "mixed" is the
            unprocessed item.
        summary: facts about the run, such as versions and protocol, shown unchanged. Means and confidence intervals are
            computed from the rows, with its ``seed``.

    Raises:
        OSError: the page cannot be written. Audio that cannot be read is named in the page.
    """
    score_table = ScoreTable(rows, int(summary.get("seed") or 0))
    main, ranked = score_table.main_method, []
    if main is not None:
        ranked = score_table.ranked(RANKED_BY, main)
    num_best = min(NUM_SHOWN, (len(ranked) + 1) // 2)
    best, worst = ranked[:num_best], ranked[num_best:][::-1][:NUM_SHOWN]
    played_seconds = _played_seconds(score_table, len(best) + len(worst))
    with ThreadPoolExecutor(NUM_READERS) as pool:
        examples = list(pool.map(lambda row: _example(score_table, row, played_seconds), [*best, *worst]))
    return write_page(
        output,
        "evaluation.html.j2",
        title=f"Evaluation of {main}" if main else "Evaluation",
        score_table=score_table,
        tones={method: _tone(score_table, method) for method in score_table.methods},
        headline=[_headline(score_table, metric, main) for metric in score_table.metrics] if main else [],
        groups=_summary(score_table),
        has_gains=any(np.isfinite(score_table.worse_share(method)) for method in score_table.methods),
        charts=_distribution_charts(score_table),
        level_charts=_level_charts(score_table),
        best=examples[: len(best)],
        worst=examples[len(best) :],
        troubled=[_problem(row) for row in score_table.troubled()],
        table=_table(score_table),
        ticks=time_ticks,
        range_db=round(RANGE_DB),
        colours=COLOURS,
        facts=facts_of({key: value for key, value in summary.items() if not _is_table(value)}),
    )


def _tone(score_table: ScoreTable, method: str) -> int:
    """Return the colour of a system: 0, grey, is the unprocessed mixture; 1, the accent, the main system."""
    others = [name for name in score_table.methods if name != UNPROCESSED]
    return 0 if method == UNPROCESSED else 1 + others.index(method) % (NUM_TONES - 1)


def _headline(score_table: ScoreTable, metric: Metric, method: str) -> tuple[Metric, Mean, Mean]:
    return metric, score_table.mean(metric.key, method), score_table.mean_gain(metric.key, method)


def _summary(score_table: ScoreTable) -> list[tuple[str, list[Line]]]:
    """Return the lines of all items, and of each condition where there are several."""
    conditions: list[tuple[str, str | None]] = [("All items", None)]
    if len(score_table.subsets) > 1:
        conditions += [(subset or NOTHING, subset) for subset in score_table.subsets]
    groups = []
    for heading, subset in conditions:
        lines = []
        for method in score_table.methods:
            rows = score_table.select(method, subset)
            if rows:
                failed = sum(row.get("status") == "failed" for row in rows)
                means = [
                    (
                        metric,
                        score_table.mean(metric.key, method, subset),
                        score_table.mean_gain(metric.key, method, subset),
                    )
                    for metric in score_table.metrics
                ]
                worse = score_table.worse_share(method, subset)
                lines.append(Line(method, _tone(score_table, method), len(rows), failed, worse, means))
        groups.append((heading, lines))
    return groups


def _distribution_charts(score_table: ScoreTable) -> list[tuple[str, Markup]]:
    charts = []
    conditions: list[str | None] = [None] if len(score_table.subsets) < 2 else [None, *score_table.subsets]
    for metric in score_table.metrics:
        groups = [
            (
                ("All items" if subset is None else subset or NOTHING) if len(conditions) > 1 else "",
                [
                    Series(m, _tone(score_table, m), score_table.values(metric.key, m, subset))
                    for m in score_table.methods
                ],
            )
            for subset in conditions
        ]
        charts.append((metric.label, distributions(groups, metric.heading, metric.digits)))
    return charts


def _level_charts(score_table: ScoreTable) -> list[tuple[str, Markup]]:
    """Draw SI-SDR gain over unprocessed SI-SDR, one chart for each system, all with the same axes."""
    points = {}
    for method in score_table.methods:
        rows = [row for row in score_table.select(method) if np.isfinite(score_table.gain(row, RANKED_BY))]
        if method != UNPROCESSED and rows:
            gains = np.array([score_table.gain(row, RANKED_BY) for row in rows])
            levels = np.array([score_of(row, RANKED_BY) for row in rows]) - gains
            points[method] = Points(
                levels, gains, [_point_label(*place) for place in zip(rows, levels, gains, strict=True)]
            )
    if not points:
        return []
    every_x = np.concatenate([own.x for own in points.values()])
    every_y = np.concatenate([own.y for own in points.values()])
    frame = Points(every_x, every_y, ())
    return [
        (method, scatter(own, "SI-SDR before, dB", "SI-SDR gain, dB", _tone(score_table, method), frame))
        for method, own in points.items()
    ]


def _point_label(row: Row, level: float, gain: float) -> str:
    return f"{_name(row)}: {number(level, 1)} dB before, gain {signed(gain, 1)} dB"


def _played_seconds(score_table: ScoreTable, num_examples: int) -> float:
    """Return how much of each audio file fits on the page."""
    num_audio_files = max(1, num_examples * (len(score_table.methods) + 1))
    seconds = AUDIO_BYTES / num_audio_files / BYTES_PER_SECOND
    return max(2.0, min(MAX_PLAYED_SECONDS, float(int(seconds))))


def _example(score_table: ScoreTable, row: Row, played_seconds: float) -> Example:
    """Return the audio of an item before, after each system, and the reference, with the scores of the row's system."""
    subset, item = subset_of(row), str(row["item"])
    files = [("Before", row.get("mixture"))]
    for method in score_table.methods:
        own = score_table.row(subset, item, method)
        if method != UNPROCESSED and own is not None:
            files.append((f"After, {method}" if len(score_table.methods) > 2 else "After", own.get("estimate")))
    files.append(("Reference", row.get("reference")))
    facts = [
        (
            metric.label,
            number(score_of(row, metric.key), metric.digits),
            signed(score_table.gain(row, metric.key), metric.digits),
        )
        for metric in score_table.metrics
    ]
    kept = [(label, str(path)) for label, path in files if path]
    tracks = make_player_tracks(kept, sample_rate=16000, played_seconds=played_seconds, num_columns=NUM_COLUMNS)
    return Example(item, subset, facts, tracks)


def _problem(row: Row) -> tuple[str, str, str, str]:
    what = "failed" if row.get("status") == "failed" else "score missing"
    return _name(row), str(row["method"]), what, _reason(row)


def _reason(row: Row) -> str:
    reason = row.get("reason")
    if isinstance(reason, Mapping):
        return "; ".join(f"{name}: {words}" for name, words in reason.items())
    return str(reason or "no reason given")


def _table(score_table: ScoreTable) -> dict[str, Any]:
    """Return all rows as text."""
    has_subsets = any(score_table.subsets)
    headers = [("Item", False), *([("Condition", False)] if has_subsets else []), ("Method", False)]
    headers += [(metric.heading, True) for metric in score_table.metrics]
    headers += [("SI-SDR gain, dB", True), ("Length, s", True), ("Time, s", True), ("Status", False)]
    lines = []
    for row in score_table.rows:
        words = [str(row["item"]), *([subset_of(row)] if has_subsets else []), str(row["method"])]
        words += [number(score_of(row, metric.key), metric.digits) for metric in score_table.metrics]
        words += [signed(score_table.gain(row, RANKED_BY), 1) if row["method"] != UNPROCESSED else NOTHING]
        words += [number(row.get("seconds"), 1), number(row.get("elapsed_seconds"), 1)]
        words += [f"{row.get('status')}" + (f": {_reason(row)}" if row.get("reason") else "")]
        lines.append(("failed" if row.get("status") == "failed" else "", words))
    return {"headers": headers, "rows": lines}


def _name(row: Row) -> str:
    return f"{subset_of(row)} / {row['item']}" if subset_of(row) else str(row["item"])


def _is_table(value: Any) -> bool:
    """Return whether a value is a list of records, such as the means, which the page shows separately."""
    return isinstance(value, Sequence) and any(isinstance(item, Mapping) for item in value)
