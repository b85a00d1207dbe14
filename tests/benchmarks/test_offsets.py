"""The benchmark of AV offsets: its columns."""

from __future__ import annotations

import numpy as np
from offsets import OFFSETS, row


def test_the_worst_offset_is_one_of_those_that_count() -> None:
    gains = np.zeros((2, len(OFFSETS)))
    gains[:, OFFSETS.index(-6)], gains[:, OFFSETS.index(3)] = -9.0, -9.0
    gains[0, OFFSETS.index(-5)] = -1.0
    assert row(6, gains) == "| 6 s | -9.00 | -0.50 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 | 0.00 | -9.00 | -0.50 |"
