"""Means with confidence intervals, and paired gains."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from avse.evaluation.statistics import ScoreTable, mean_of


def test_interval_is_that_of_the_theory() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    mean = mean_of(values)
    half = 1.96 * values.std() / 20
    assert (mean.value, mean.num_items) == (pytest.approx(values.mean()), 400)
    assert mean.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert mean.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert mean_of(values) == mean
    assert mean_of(values, seed=1) != mean


def test_interval_covers_the_truth_at_its_nominal_rate() -> None:
    rng = np.random.default_rng(2)
    means = [mean_of(rng.normal(0.0, 1.0, 50), seed) for seed in range(200)]
    assert 0.90 < np.mean([mean.low < 0 < mean.high for mean in means]) <= 0.99


def row(item: str, method: str, si_sdr: Any, subset: str | None = None) -> dict[str, Any]:
    return {"item": item, "subset": subset, "method": method, "scores": {"si_sdr": si_sdr}}


def test_gains_are_those_of_pairs_and_missing_scores_are_left_out() -> None:
    score_table = ScoreTable([
        row("a", "net", 5.0), row("a", "mixed", 1.0), row("b", "net", 3.0), row("b", "mixed", None),
        row("c", "net", math.nan), row("c", "mixed", 0.0), row("d", "net", 2.0), row("d", "mixed", 1.5),
    ])  # fmt: skip
    assert score_table.methods == ["mixed", "net"]
    assert score_table.main_method == "net"
    assert score_table.gains("si_sdr", "net").tolist() == [4.0, 0.5]
    assert score_table.values("si_sdr", "net").tolist() == [5.0, 3.0, 2.0]
    assert [own["item"] for own in score_table.ranked("si_sdr", "net")] == ["a", "d"]
    assert score_table.mean("pesq", "net").num_items == 0
    assert [metric.key for metric in score_table.metrics] == ["si_sdr"]


def test_items_of_the_same_name_in_two_conditions_are_two() -> None:
    score_table = ScoreTable([row("a", "mixed", 1.0, "x"), row("a", "net", 2.0, "x"), row("a", "mixed", 5.0, "y")])
    assert score_table.num_items == 2
    assert score_table.gains("si_sdr", "net", "x").tolist() == [1.0]
    assert score_table.gains("si_sdr", "net", "y").tolist() == []
