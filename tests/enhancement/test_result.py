"""Intervals in words."""

from __future__ import annotations

import pytest

from avse.enhancement.result import format_intervals


@pytest.mark.parametrize(
    ("intervals", "words"),
    [
        ([], ""),
        ([(0.0, 1.4)], "0:00-0:01"),
        ([(1.6, 5.0), (61.0, 125.0)], "0:02-0:05 and 1:01-2:05"),
        ([(0.0, 1.0), (2.0, 3.0), (3599.6, 3661.0)], "0:00-0:01, 0:02-0:03 and 1:00:00-1:01:01"),
        ([(float(k), k + 0.6) for k in range(0, 14, 2)], "0:00-0:01, 0:02-0:03, 0:04-0:05, 0:06-0:07 and 3 times more"),
    ],
)
def test_intervals_in_words(intervals: list[tuple[float, float]], words: str) -> None:
    assert format_intervals(intervals) == words
