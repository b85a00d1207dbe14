"""SVG charts of the reports: distributions, scatter plots with running median, histograms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from avse.reports.page import number
from avse.reports.svg import WIDTH, Scale, chart, clipped, horizontal_axis, tag, vertical_axis

MAX_POINTS = 1500
MIN_FOR_VIOLIN = 5
ROW = 22.0
LABEL_WIDTH = 92.0


@dataclass(frozen=True)
class Series:
    """Hold values (N,) under one name; ``tone`` is the number of its colour."""

    label: str
    tone: int
    values: np.ndarray


@dataclass(frozen=True)
class Points:
    """Hold positions ``x`` and ``y`` (N,) with a label for each."""

    x: np.ndarray
    y: np.ndarray
    words: Sequence[str]


def distributions(groups: Sequence[tuple[str, Sequence[Series]]], title: str, digits: int) -> Markup:
    """Draw a violin with a box for each series, in groups one below the other, on one axis."""
    everything = np.concatenate([series.values for _, group in groups for series in group] or [np.zeros(0)])
    scale = Scale.around(everything, LABEL_WIDTH + 8, WIDTH - 12)
    parts, y = [], 4.0
    for heading, group in groups:
        if heading:
            parts.append(tag("text", clipped(heading, 46), x=0, y=y + 14, class_="group"))
            y += 20
        for series in group:
            parts.append(_distribution(series, scale, y + ROW / 2, digits))
            y += ROW
        y += 6
    axis = horizontal_axis(scale, 2, y, title)
    return chart(y + 38, f"Distribution of {title}", axis, *parts)


def _distribution(series: Series, scale: Scale, y: float, digits: int) -> Markup:
    """Draw one row: violin, interquartile box, whiskers from the 5th to the 95th percentile, median."""
    label = tag("text", clipped(series.label, 15), tag("title", series.label), x=0, y=y + 4, class_="label")
    values = series.values
    if len(values) == 0:
        return tag("g", label, tag("text", "no score", x=scale.start, y=y + 4, class_="tick"))
    if len(values) < MIN_FOR_VIOLIN:
        dots = [tag("circle", cx=scale(float(value)), cy=y, r=3, class_="dot") for value in values]
        return tag("g", label, *dots, class_=f"tone-{series.tone}")
    p5, q1, median, q3, p95 = (float(value) for value in np.percentile(values, [5, 25, 50, 75, 95]))
    words = (
        f"{series.label}: median {number(median, digits)}, middle half {number(q1, digits)} to "
        f"{number(q3, digits)}, 5th to 95th percentile {number(p5, digits)} to {number(p95, digits)}, "
        f"{len(values)} items"
    )
    width = max(scale(q3) - scale(q1), 1.0)
    return tag(
        "g",
        tag("title", words),
        label,
        tag("path", d=_violin(values, scale, y), class_="violin"),
        tag("line", x1=scale(p5), x2=scale(p95), y1=y, y2=y, class_="whisker"),
        tag("rect", x=scale(q1), y=y - 3.5, width=width, height=7, rx=2, class_="box"),
        tag("line", x1=scale(median), x2=scale(median), y1=y - 6, y2=y + 6, class_="median"),
        class_=f"tone-{series.tone}",
    )


def _violin(values: np.ndarray, scale: Scale, y: float) -> str:
    """Draw the outline of a Gaussian kernel density estimate (bandwidth after Silverman, 1986, eq. 3.31)."""
    q1, q3 = np.percentile(values, [25, 75])
    spread = min(values.std(), (q3 - q1) / 1.34) or values.std() or 1e-6
    bandwidth = 0.9 * spread * len(values) ** -0.2
    place = np.linspace(values.min(), values.max(), 41)
    density = np.exp(-0.5 * ((place[:, None] - values) / bandwidth) ** 2).sum(1)
    half = density / density.max() * (ROW / 2 - 1)
    x = [scale(float(value)) for value in place]
    outline = [*zip(x, y - half, strict=True), *zip(x[::-1], y + half[::-1], strict=True)]
    return "M" + "L".join(f"{left:.1f} {top:.1f}" for left, top in outline) + "Z"


def scatter(points: Points, x_title: str, y_title: str, tone: int, frame: Points | None = None) -> Markup:
    """Draw points with their running median; ``frame`` sets the axes, so that several charts compare."""
    frame = frame or points
    across = Scale.around(frame.x, 44, WIDTH - 10)
    up = Scale.around(np.append(frame.y, 0.0), 232, 26)
    shown = np.arange(len(points.x))
    if len(shown) > MAX_POINTS:
        shown = np.sort(np.random.default_rng(0).choice(shown, MAX_POINTS, replace=False))
    dots = [
        tag("circle", tag("title", points.words[i]), cx=across(float(points.x[i])), cy=up(float(points.y[i])), r=2.6)
        for i in shown.tolist()
    ]
    axes = vertical_axis(up, across.start, across.end, y_title) + horizontal_axis(across, up.end, up.start, x_title)
    median = _running_median(points, across, up)
    label = f"{y_title} against {x_title}, {len(points.x)} points"
    return chart(274, label, axes, tag("g", *dots, class_=f"dots tone-{tone}"), median)


def _running_median(points: Points, across: Scale, up: Scale) -> Markup:
    """Draw a line through the medians of each twelfth of the axis with three points or more."""
    step = (across.high - across.low) / 12
    part = np.floor((points.x - across.low) / step)
    members = [part == index for index in range(13) if (part == index).sum() >= 3]
    place = [(across(float(np.median(points.x[own]))), up(float(np.median(points.y[own])))) for own in members]
    if len(place) < 2:
        return Markup("")
    return tag("path", d="M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in place), class_="trend")


def histogram(values: np.ndarray, x_title: str, y_title: str, num_bins: int = 12) -> Markup:
    """Draw a histogram of the number of items."""
    across = Scale.around(values, 44, WIDTH - 10)
    counts, edges = np.histogram(values, bins=num_bins, range=(across.low, across.high))
    up = Scale.around(np.array([0, max(int(counts.max()), 4)]), 232, 26)
    bars = [
        tag(
            "rect", tag("title", f"{count} {y_title}"), x=across(float(left)) + 1, y=up(float(count)),
            width=across(float(right)) - across(float(left)) - 2, height=up(0) - up(float(count)), rx=1.5,
        )
        for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True)
        if count
    ]  # fmt: skip
    axes = vertical_axis(up, across.start, across.end, y_title)
    axes += horizontal_axis(across, up.end, up.start, x_title)
    return chart(274, f"Number of {y_title} by {x_title}", axes, tag("g", *bars, class_="bars tone-1"))
