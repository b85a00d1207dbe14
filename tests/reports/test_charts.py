"""Charts of reports: violins, scatter plots and histograms."""

from __future__ import annotations

import numpy as np

from avse.reports.charts import Points, Series, distributions, histogram, scatter


def test_violin_from_five_values_on_and_dots_below() -> None:
    few, many = np.arange(3.0), np.arange(30.0)
    drawn = distributions([("", [Series("few", 0, few), Series("many", 1, many), Series("none", 2, few[:0])])], "dB", 1)
    assert drawn.count("<circle") == 3
    assert drawn.count('class="violin"') == drawn.count('class="median"') == 1
    assert "many: median 14.5, middle half 7.2 to 21.8" in drawn
    assert "no score" in drawn
    assert "nan" not in distributions([("", [Series("same", 0, np.ones(9))])], "dB", 1)


def test_scatter_draws_every_point_up_to_a_limit() -> None:
    rng = np.random.default_rng(0)
    points = Points(rng.normal(size=40), rng.normal(size=40), [f"<{index}>" for index in range(40)])
    drawn = scatter(points, "x, dB", "y, dB", 1)
    assert drawn.count("<circle") == 40
    assert "&lt;7&gt;" in drawn
    assert 'class="trend"' in drawn
    large = Points(rng.normal(size=4000), rng.normal(size=4000), [""] * 4000)
    assert scatter(large, "x", "y", 1).count("<circle") == 1500
    assert 'class="trend"' not in scatter(Points(np.ones(3), np.ones(3), "abc"), "x", "y", 1)


def test_histogram_counts_all() -> None:
    drawn = histogram(np.array([0.0, 1.0, 1.0, 10.0]), "dB", "items")
    assert drawn.count("<rect") == 3
    assert "2 items" in drawn
