"""The report of an evaluation: every row, means, best and worst items, failures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from report_world import Page, made_rows

from avse.reports.evaluation import evaluation_report

SUMMARY = {"seed": 3, "versions": {"avse": "1", "torch": "2"}, "scores": [{"method": "avse"}]}


def test_every_row_is_in_the_table(tmp_path: Path) -> None:
    rows = made_rows(tmp_path, 6)
    page = Page(evaluation_report(rows, SUMMARY, tmp_path / "report.html"))
    found = {(cells[1], cells[0], cells[2]) for cells in page.rows}
    assert len(page.rows) == len(rows) == 36
    assert found == {(row["subset"], row["item"], row["method"]) for row in rows}
    own = next(cells for cells in page.rows if cells[:3] == ["item-03", "noise", "avse"])
    assert own[3:] == ["1.80", "0.760", "0.600", "4.5", "+3.0", "1.0", "0.2", "ok"]


def test_means_and_gains_are_those_of_the_rows(tmp_path: Path) -> None:
    rows = made_rows(tmp_path, 6)
    text = Page(evaluation_report(rows, SUMMARY, tmp_path / "report.html")).text
    values = [row["scores"]["si_sdr"] for row in rows if row["method"] == "avse"]
    assert f"{np.mean(values):.1f}" in text
    assert "+2.5" in text
    assert "versions, torch" in text


def test_best_and_worst_have_players(tmp_path: Path) -> None:
    page = Page(evaluation_report(made_rows(tmp_path, 4, ("noise",)), SUMMARY, tmp_path / "report.html"))
    names = [name for name in page.texts["span"] if re.fullmatch(r"item-\d\d", name)]
    assert names[:2] == [f"item-{index:02d}" for index in (3, 2)]
    assert names[2:] == ["item-00", "item-01"]
    assert len(page.all("audio")) == 4 * 4
    assert len(page.all("img")) == 4 * 4


def test_no_more_than_ten_best_and_ten_worst(tmp_path: Path) -> None:
    rows = [row | {"mixture": None, "reference": None, "estimate": None} for row in made_rows(tmp_path, 13)]
    page = Page(evaluation_report(rows, SUMMARY, tmp_path / "report.html"))
    assert len(page.all("details")) == 20


def test_failures_are_listed_with_their_reason(tmp_path: Path) -> None:
    rows = made_rows(tmp_path)
    rows[1] |= {"status": "failed", "reason": "PESQ failed: its process died", "scores": None, "estimate": None}
    rows[4] |= {"reason": {"pesq": "no utterance"}}
    rows[4]["scores"] |= {"pesq": None}
    page = Page(evaluation_report(rows, SUMMARY, tmp_path / "report.html"))
    assert "failed: PESQ failed: its process died" in page.rows[1]
    assert page.rows[1][3:8] == ["\N{EN DASH}"] * 5
    assert "pesq: no utterance" in page.text
    assert "2 rows with something missing" in page.text
    assert "1 failed" in page.text


def test_audio_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    rows = made_rows(tmp_path, 2, ("noise",))
    Path(rows[1]["estimate"]).write_text("This is no audio.")
    Path(rows[0]["reference"]).unlink()
    rows[2] |= {"estimate": None}
    page = Page(evaluation_report(rows, SUMMARY, tmp_path / "report.html"))
    problems = " ".join(page.texts["p"])
    assert f"{rows[1]['estimate']} is not a recording" in problems
    assert f"There is no file {rows[0]['reference']}" in problems
    assert len(page.all("audio")) == 8 - 3


def test_without_any_audio_the_item_is_still_there(tmp_path: Path) -> None:
    rows = [row | {"mixture": None, "reference": None, "estimate": None} for row in made_rows(tmp_path, 2)]
    page = Page(evaluation_report(rows, SUMMARY, tmp_path / "report.html"))
    assert page.text.count("No audio of this item was kept.") == 4


@pytest.mark.parametrize("method", ["mixed", "avse"])
def test_one_method_alone_gives_a_page(tmp_path: Path, method: str) -> None:
    rows = [row for row in made_rows(tmp_path, 2) if row["method"] == method]
    page = Page(evaluation_report(rows, {}, tmp_path / "report.html"))
    assert len(page.rows) == 4
    assert "gain" not in " ".join(page.texts.get("dt", []))


def test_no_rows_give_a_page(tmp_path: Path) -> None:
    page = Page(evaluation_report([], {}, tmp_path / "report.html"))
    assert page.rows == []
    assert "0 items" in page.text
