"""Parts of SVG charts: escaped elements, a linear scale with round ticks, axes. Colours come from the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from avse.reports.page import number

WIDTH = 360


def tag(name: str, *children: Markup | str, **attributes: object) -> Markup:
    """Return one element; ``class_`` is the class, an underscore stands for a hyphen, all text is escaped."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_format_attribute(value))}"'
        for key, value in attributes.items()
    )
    inside = "".join(escape(child) for child in children)
    return Markup(f"<{name}{words}>{inside}</{name}>")


@dataclass(frozen=True)
class Scale:
    """Map values (``low`` to ``high``) linearly to positions in the drawing (``start`` to ``end``)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @classmethod
    def around(cls, values: Sequence[float] | np.ndarray, start: float, end: float) -> Scale:
        """Return a scale from tick to tick that holds all values; from 0 to 1 if there are none."""
        low, high = (float(np.min(values)), float(np.max(values))) if len(values) else (0.0, 1.0)
        if high - low < 1e-9:
            low, high = low - 0.5, high + 0.5
        step = tick_step(low, high)
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, start, end)

    def ticks(self) -> list[float]:
        """Return round values from ``low`` to ``high``."""
        step = tick_step(self.low, self.high)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]


def tick_step(low: float, high: float, count: int = 5) -> float:
    """Return 1, 2 or 5 times a power of ten, so that about ``count`` steps fill the range."""
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def horizontal_axis(scale: Scale, top: float, bottom: float, title: str) -> Markup:
    """Draw grid lines from top to bottom, values below them, and the axis label."""
    parts = []
    for value in scale.ticks():
        place = scale(value)
        parts.append(tag("line", x1=place, x2=place, y1=top, y2=bottom, class_="zero" if abs(value) < 1e-9 else "grid"))
        parts.append(tag("text", _value(scale, value), x=place, y=bottom + 14, text_anchor="middle", class_="tick"))
    middle = (scale.start + scale.end) / 2
    parts.append(tag("text", title, x=middle, y=bottom + 31, text_anchor="middle", class_="axis-title"))
    return Markup("").join(parts)


def vertical_axis(scale: Scale, left: float, right: float, title: str) -> Markup:
    """Draw grid lines from left to right, values beside them, and the axis label above."""
    parts = []
    for value in scale.ticks():
        place = scale(value)
        parts.append(tag("line", x1=left, x2=right, y1=place, y2=place, class_="zero" if abs(value) < 1e-9 else "grid"))
        parts.append(tag("text", _value(scale, value), x=left - 6, y=place + 4, text_anchor="end", class_="tick"))
    parts.append(tag("text", title, x=2, y=12, class_="axis-title"))
    return Markup("").join(parts)


def chart(height: float, label: str, *parts: Markup) -> Markup:
    """Return the whole drawing, 360 units wide; ``label`` is for screen readers."""
    return tag(
        "svg", *parts, viewBox=f"0 0 {WIDTH} {_format_attribute(height)}", role="img", aria_label=label, class_="chart",
        preserveAspectRatio="xMidYMin meet",
    )  # fmt: skip


def clipped(text: str, length: int) -> str:
    """Return text shortened to ``length`` characters by leaving out its middle."""
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (length - head - 1) :]}"


def _value(scale: Scale, value: float) -> str:
    return number(value + 0.0, max(0, -math.floor(math.log10(tick_step(scale.low, scale.high)) + 1e-9)))


def _format_attribute(value: object) -> str:
    """Format numbers with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
