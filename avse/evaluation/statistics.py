"""Statistics over the rows of an evaluation: means, gains and ranking by system and condition."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avse.evaluation.metrics import FORMER_KEYS, METRICS
from avse.evaluation.rows import Row

UNPROCESSED = "mixed"
NUM_RESAMPLES = 1000
WORSE_DB = 0.5
"""An item counts as made worse if its SI-SDR falls by more than this."""


@dataclass(frozen=True)
class Mean:
    """Hold a mean with its 95 % confidence interval over ``num_items`` items; nan where there are none."""

    value: float
    low: float
    high: float
    num_items: int


def mean_of(values: np.ndarray, seed: int = 0) -> Mean:
    """Return the mean of values (N,) with the interval of a seeded bootstrap (percentiles of 1,000 resamples)."""
    if len(values) == 0:
        return Mean(math.nan, math.nan, math.nan, 0)
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, len(values), (NUM_RESAMPLES // 10, len(values)), np.int32) for _ in range(10))
    low, high = np.percentile(np.concatenate([values[drawn].mean(1) for drawn in draws]), [2.5, 97.5])
    return Mean(float(values.mean()), float(low), float(high), len(values))


class ScoreTable:
    """Hold the rows of ``avse evaluate``, one for each item and system, for statistics.

    ``methods`` begins with the unprocessed mixture if it is there; ``subsets`` are the conditions; ``metrics`` those
    for which there is any score. ``seed`` is that of the bootstrap.
    """

    def __init__(self, rows: Sequence[Row], seed: int = 0) -> None:
        self.rows = list(rows)
        self.seed = seed
        self.methods = sorted(dict.fromkeys(str(row["method"]) for row in rows), key=lambda name: name != UNPROCESSED)
        self.subsets = list(dict.fromkeys(subset_of(row) for row in rows))
        self.metrics = [
            metric for metric in METRICS.values() if any(math.isfinite(score_of(row, metric.key)) for row in rows)
        ]
        self._of: dict[tuple[str, str, str], Row] = {
            (subset_of(row), str(row["item"]), str(row["method"])): row for row in rows
        }

    @property
    def main_method(self) -> str | None:
        """Return the first system other than the unprocessed mixture."""
        return next((method for method in self.methods if method != UNPROCESSED), None)

    @property
    def num_items(self) -> int:
        """Count the items, whatever the number of systems."""
        return len({(subset, item) for subset, item, _ in self._of})

    def row(self, subset: str, item: str, method: str) -> Row | None:
        """Return the row of one system on one item."""
        return self._of.get((subset, item, method))

    def select(self, method: str, subset: str | None = None) -> list[Row]:
        """Return the rows of one system, in one condition or in all."""
        return [row for (own, _, name), row in self._of.items() if name == method and (subset is None or own == subset)]

    def values(self, metric: str, method: str, subset: str | None = None) -> np.ndarray:
        """Return the scores (N,) that exist."""
        scores = np.array([score_of(row, metric) for row in self.select(method, subset)], float)
        return scores[np.isfinite(scores)]

    def gain(self, row: Row, metric: str) -> float:
        """Return the score of a row minus that of the unprocessed item; nan if either is missing."""
        before = self.row(subset_of(row), str(row["item"]), UNPROCESSED)
        return score_of(row, metric) - score_of(before, metric) if before is not None else math.nan

    def gains(self, metric: str, method: str, subset: str | None = None) -> np.ndarray:
        """Return the gains (N,) that exist, item by item."""
        gains = np.array([self.gain(row, metric) for row in self.select(method, subset)], float)
        return gains[np.isfinite(gains)]

    def worse_share(self, method: str, subset: str | None = None) -> float:
        """Return the share of items, 0 to 1, with an SI-SDR more than 0.5 dB below the unprocessed item's.

        nan where no item has a gain, and for the unprocessed items themselves.
        """
        gains = self.gains("si_sdr", method, subset)
        return float((gains < -WORSE_DB).mean()) if len(gains) and method != UNPROCESSED else math.nan

    def mean(self, metric: str, method: str, subset: str | None = None) -> Mean:
        """Return the mean score of a system, in one condition or in all."""
        return mean_of(self.values(metric, method, subset), self.seed)

    def mean_gain(self, metric: str, method: str, subset: str | None = None) -> Mean:
        """Return the mean gain of a system, in one condition or in all."""
        return mean_of(self.gains(metric, method, subset), self.seed)

    def ranked(self, metric: str, method: str) -> list[Row]:
        """Return the rows of a system, best first by gain, or by score where there is no gain."""
        rows = self.select(method)
        has_gain = len(self.gains(metric, method)) > 0
        worth = [self.gain(row, metric) if has_gain else score_of(row, metric) for row in rows]
        order = sorted((index for index in range(len(rows)) if math.isfinite(worth[index])), key=lambda i: -worth[i])
        return [rows[index] for index in order]

    def troubled(self) -> list[Row]:
        """Return the rows that failed or lack a score."""
        return [row for row in self.rows if row.get("status") == "failed" or row.get("reason")]


def subset_of(row: Mapping[str, Any]) -> str:
    """Return the condition of a row, empty where the folder has none."""
    return str(row.get("subset") or "")


def score_of(row: Mapping[str, Any], metric: str) -> float:
    """Return a score of a row, nan where it is missing."""
    scores = {FORMER_KEYS.get(name, name): value for name, value in (row.get("scores") or {}).items()}
    value = scores.get(metric)
    return float(value) if isinstance(value, int | float) else math.nan
