"""SVG drawing: scales with round ticks, escaped text."""

from __future__ import annotations

import pytest

from avse.reports.svg import Scale, clipped, tag


@pytest.mark.parametrize("values", [[0.2, 0.9], [-13.0, 21.5], [3.0], [0.0, 1e-4], [1e4, 9e4], []])
def test_scale_holds_all_values_between_round_ticks(values: list[float]) -> None:
    scale = Scale.around(values, 100.0, 300.0)
    ticks = scale.ticks()
    assert 3 <= len(ticks) <= 12
    assert all(100.0 - 1e-6 <= scale(value) <= 300.0 + 1e-6 for value in [*values, *ticks])
    assert (scale(scale.low), scale(scale.high)) == (100.0, 300.0)


def test_svg_escapes_text_and_attributes() -> None:
    made = tag("text", "<b>", class_='"x', x=1.25)
    assert str(made) == '<text class="&#34;x" x="1.2">&lt;b&gt;</text>'
    assert clipped("abcdefghij", 5) == "ab\N{HORIZONTAL ELLIPSIS}ij"
