"""The benchmark of lips and audio: shares where they are known beforehand."""

from __future__ import annotations

import numpy as np
from in_time import ALONE, MIXTURES, Scene, agreement_rows, lag_rows
from scipy.ndimage import uniform_filter1d

RNG = np.random.default_rng(0)
OWN, STRANGE, NOISE = (10 * uniform_filter1d(values, 3, axis=0) for values in RNG.standard_normal((3, 500, 20)))
MOUTHS = (np.full((2, len(OWN)), 0.2), np.ones((2, len(OWN)), bool))
SCENE = Scene(
    OWN, STRANGE, dict(zip(MIXTURES, (OWN, OWN + OWN[::-1], OWN + 30 * NOISE, OWN[::-1]), strict=True)), *MOUTHS
)


def test_perfect_lips_are_always_matched_and_mismatched_ones_never() -> None:
    clean, *_ = agreement_rows("20 s", [SCENE])
    assert clean.startswith("| 20 s | clean | 1.00 ± 0.00 | 0% | ")
    assert clean.endswith(" | 100% | 100% |")
    rows = dict(zip(MIXTURES, lag_rows("20 s", [SCENE]), strict=True))
    assert rows["clean"] == "| 20 s | clean | 100% | 100% | 0% | 0% | 0% | 0% |"
    assert rows[ALONE] == "| 20 s | another voice alone | 100% |  | | | | |"
    assert {row.count("|") for row in rows.values()} == {9}


def test_what_noise_hides_is_left_as_it_was() -> None:
    deaf = Scene(OWN, STRANGE, dict.fromkeys(MIXTURES, 10 * NOISE), *MOUTHS)
    assert next(lag_rows("20 s", [deaf])) == "| 20 s | clean | 100% | 0% | 0% | 0% | 100% | 0% |"
