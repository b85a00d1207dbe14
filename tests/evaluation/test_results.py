"""Rows of an evaluation that an earlier run wrote: checked, and read under their present keys."""

from __future__ import annotations

from typing import Any

import pytest

from avse.evaluation.results import check_row, with_present_keys

ROW: dict[str, Any] = {
    "subset": "", "item": "a", "method": "avse", "status": "ok", "seconds": 1.0, "elapsed_seconds": 0.5,
    "scores": {"pesq": 1.5, "stoi": None}, "reason": None,
}  # fmt: skip


@pytest.mark.parametrize("video", [None, "a.mkv"])
def test_rows_with_the_former_key_are_read(video: str | None) -> None:
    former = ROW | {"picture": video}
    assert check_row(former) == ""
    assert with_present_keys(former)["video"] == video


def test_present_key_counts_where_both_are_there() -> None:
    assert with_present_keys(ROW | {"picture": "old.mkv", "video": "new.mkv"})["video"] == "new.mkv"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, "it has no video"),
        ({"video": 1}, "its video is invalid"),
        ({"picture": 1}, "its video is invalid"),
        ({"video": None, "picture": 1}, "its picture is invalid"),
        ({"video": None, "status": "lost"}, "its status is invalid"),
        ({"video": None, "scores": {"pesq": "high"}}, "its scores is invalid"),
        ({"video": None, "stage_seconds": [1]}, "its stage_seconds is invalid"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], problem: str) -> None:
    assert check_row(ROW | change) == problem
