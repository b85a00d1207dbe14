"""Warnings as plain values with their former codes, and intervals in words."""

from __future__ import annotations

import pytest

from avse.enhancement.result import FORMER_CODES, Message, format_intervals


@pytest.mark.parametrize(("code", "former"), FORMER_CODES.items())
def test_a_renamed_code_comes_with_its_former_name(code: str, former: str) -> None:
    assert Message(code, "Why.").as_dict() == {"code": code, "text": "Why.", "former_code": former}


def test_other_codes_have_no_former_name() -> None:
    assert Message("silent", "Why.").as_dict() == {"code": "silent", "text": "Why."}


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
