"""Pages that people write in: a rerun replaces what is between marks, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import asym_colour
import av_mnist
import grid_words
import missing
import pytest
import table3
from marked_page import BEGIN, END, MARK, write_page

ROOT = Path(__file__).parents[2]
FIRST = {"made": "Made on Monday.", "scores": "| a |\n"}
COMMANDS: dict[Any, list[str]] = {
    av_mnist: ["DIGITS", "--mnist", "M"],
    asym_colour: ["--train", "a", "--test", "b"],
    grid_words: ["--train", "a", "--test", "b"],
    table3: ["MIXTURES", "AO=avse"],
    missing: ["MIXTURES", "AO=avse"],
}


def test_what_people_wrote_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    first = write_page(page, "Title", FIRST)
    assert page.read_text() == first
    assert first.startswith(
        "# Title\n\n<!-- made: begin -->\n\nMade on Monday.\n\n<!-- made: end -->\n\n<!-- scores: beg"
    )
    edited = first.replace("<!-- scores: begin", "## Conclusions\n\nGood \\1.\n\n<!-- scores: begin") + "\nThe end.\n"
    page.write_text(edited)
    again = write_page(page, "Title", {"made": "Made on \\g<0>day.", "scores": "| b |"})
    assert again == page.read_text() == edited.replace("Monday", "\\g<0>day").replace("| a |", "| b |")
    assert write_page(page, "Title", FIRST, force=True) == first


def test_a_part_whose_marks_are_gone_is_what_people_wrote(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = write_page(page, "Title", FIRST)
    page.write_text(text.replace("<!-- made: begin -->", "").replace("<!-- made: end -->", ""))
    again = write_page(page, "Title", {"made": "Made on Tuesday.", "scores": "| b |"})
    assert "Monday" in again
    assert "Tuesday" not in again
    assert "| b |" in again


@pytest.mark.parametrize("module", COMMANDS, ids=lambda module: module.__name__)
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# Mine\n", "no marks"),
        ("<!-- made: begin -->\n", "do not pair"),
        ("<!-- made: begin --><!-- scores: begin --><!-- made: end --><!-- scores: end -->", "do not pair"),
        ("<!-- made: begin --><!-- made: end -->" * 2, "do not pair"),
    ],
)
def test_a_page_that_may_not_be_replaced_ends_the_program_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    module: Any, text: str, problem: str,
) -> None:  # fmt: skip
    page = tmp_path / "page.md"
    page.write_text(text)
    monkeypatch.setattr(sys, "argv", ["program", *COMMANDS[module], "--output", str(page)])
    with pytest.raises(SystemExit) as caught:
        module.main()
    assert caught.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2
    assert problem in told[0]
    assert "--force" in told[1]
    assert page.read_text() == text
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize("name", ["table3.md", "av-mnist.md", "experiments/asym-colour.md"])
def test_marks_of_the_documentation_leave_out_the_conclusions(name: str) -> None:
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    names = [name for name, kind in MARK.findall(text) if kind == "begin"]
    assert names[:2] == ["made", "scores"]
    assert MARK.findall(text) == [(name, kind) for name in names for kind in ("begin", "end")]
    for part in names:
        made = text.partition(BEGIN.format(part))[2].partition(END.format(part))[0]
        assert made.startswith("\n\n")
        assert made.endswith("\n\n")
        assert "## Conclusions" not in made
