"""Differences of fusions: over seeds and items, of the items that all networks have."""

from __future__ import annotations

import numpy as np
import pytest
from fusion_seeds import difference, page_part, read_scores

GAINS = {"AO": 1.0, "CWC": 3.0}


def rows(spread: float = 0.0) -> list[dict[str, object]]:
    rng = np.random.default_rng(2)
    return [
        {"method": f"{name} {seed}", "list": group, "item": f"{item}", "video": "present", "stoi": 0.5}
        | {"si_sdr_gain": gain + spread * seed + 0.1 * rng.standard_normal()}
        for name, gain in GAINS.items()
        for seed in (7, 8, 9)
        for group in ("noise", "two")
        for item in range(5)
    ]


def test_scores_by_list_fusion_seed_and_item() -> None:
    one_too_many = {**rows()[0], "item": "of one network"}
    absent = {**rows()[0], "video": "absent", "si_sdr_gain": 99.0}
    scores = read_scores([*rows(), one_too_many, absent], "si_sdr_gain")
    assert list(scores) == ["noise", "two", "all"]
    assert {name: values.shape for name, values in scores["two"].items()} == {"AO": (3, 5), "CWC": (3, 5)}
    assert scores["all"]["CWC"].shape == (3, 10)
    assert scores["all"]["CWC"].mean() == pytest.approx(3.0, abs=0.1)


def test_interval_includes_the_variation_between_seeds() -> None:
    intervals = []
    for spread in (0.0, 1.0):
        scores = read_scores(rows(spread), "si_sdr_gain")["all"]
        mean, low, high = difference(scores["CWC"], scores["AO"], np.random.default_rng(0))
        assert low < mean < high
        assert mean == pytest.approx(2.0, abs=0.1)
        intervals.append(high - low)
    assert intervals[0] < 0.2 < 1.0 < intervals[1]


def test_page_says_what_intervals_show() -> None:
    page = page_part(rows())
    assert "| all | CWC minus AO | +2." in page
    assert page.count("| above |") == 3
    assert page.count("| open |") == 3
