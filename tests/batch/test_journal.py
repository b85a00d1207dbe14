"""The rows of a batch on disk: flushed one by one, read back after a crash, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avse.batch.journal import NAME, Journal, check_row
from avse.batch.rows import Row
from avse.errors import UsageError


def row(item: str, status: Any = "done", **others: Any) -> Row:
    return {"item": item, "status": status, **others}


def test_rows_are_read_back_and_the_last_one_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for each in (row("a", "failed", error="x"), row("b"), row("a", seen_share=0.5)):
        journal.append(each)
    again = Journal(tmp_path)
    assert again.rows == journal.rows
    assert again.last() == {"a": row("a", seen_share=0.5), "b": row("b")}


def test_a_torn_last_line_is_replaced_by_the_next_row(tmp_path: Path) -> None:
    Journal(tmp_path).append(row("a"))
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'{"item": "b", "sta')
    journal = Journal(tmp_path)
    assert [each["item"] for each in journal.rows] == ["a"]
    journal.append(row("c"))
    assert [each["item"] for each in Journal(tmp_path).rows] == ["a", "c"]


def test_appended_rows_are_copies(tmp_path: Path) -> None:
    journal, mine = Journal(tmp_path), row("a")
    journal.append(mine)
    mine["status"] = "failed"
    assert journal.last()["a"]["status"] == "done"


@pytest.mark.parametrize(
    "scores",
    [
        None,
        {"pesq": 1.5, "stoi": None},
        {"before": {"pesq": 1.0}, "after": {"pesq": 2.0}, "reasons": {"stoi": "too short"}},
        {"reason": "The reference a.wav is missing."},
    ],
)
def test_all_kinds_of_scores_are_accepted(scores: Any) -> None:
    assert check_row({"item": "a", "status": "done", "scores": scores}) == ""


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"status": "done"}, "it has no item"),
        ({"item": "a"}, "it has no status"),
        ({"item": "a", "status": "lost"}, "its status is invalid"),
        ({"item": "a", "status": "done", "attempts": "2"}, "its attempts is invalid"),
        ({"item": "a", "status": "done", "scores": [1]}, "its scores is invalid"),
        ({"item": "a", "status": "done", "scores": {"after": 1}}, "its scores is invalid"),
        ({"item": "a", "status": "done", "scores": {"pesq": "high"}}, "its scores is invalid"),
    ],
)
def test_damaged_rows_are_refused_with_their_line(tmp_path: Path, values: dict[str, Any], problem: str) -> None:
    assert check_row(values) == problem
    (tmp_path / NAME).write_text('{"item": "a", "status": "done"}\n' + str(values).replace("'", '"') + "\n")
    with pytest.raises(UsageError, match="line 2") as caught:
        Journal(tmp_path)
    assert problem in caught.value.message
