"""CSV: cells come back as they were written, formulas are disarmed, damaged rows are named with their line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from avse.errors import UsageError
from avse.io.csv_files import MAX_CELL, parse_csv, quote_cell, read_csv, to_csv, unquote_cell, write_csv


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-x", "@SUM", "\tx", "'=1", "''=1"])
def test_formulas_get_an_apostrophe(cell: str) -> None:
    assert quote_cell(cell) == f"'{cell}"
    assert unquote_cell(quote_cell(cell)) == cell


@pytest.mark.parametrize("cell", ["-6", "+0.5", "-1e-3", "-inf", "nan", "name", "it's", "'quoted'", 3.5, None])
def test_numbers_and_words_stay_as_they_are(cell: object) -> None:
    assert quote_cell(cell) == cell


@pytest.mark.parametrize("cell", ["a,b", 'say "x"', "two\nlines", "bare\rreturn", "=1,2", "'=x", "Łódź", " x "])
def test_cells_come_back(tmp_path: Path, cell: str) -> None:
    write_csv(tmp_path / "a.csv", [("name", "value"), (cell, "1")])
    rows = [row for _, row in read_csv(tmp_path / "a.csv", "", 2)]
    assert rows == [["name", "value"], [cell, "1"]]


def test_names_that_are_not_utf8_come_back_byte_by_byte(tmp_path: Path) -> None:
    name = b"\xff.wav".decode("utf-8", "surrogateescape")
    write_csv(tmp_path / "a.csv", [(name, "1")], raw_names=True)
    assert read_csv(tmp_path / "a.csv", "") == [(1, [name, "1"])]


def test_other_programs_read_the_same_table() -> None:
    rows = [["a", "1,5"], ['"', "x\ry"]]
    assert list(csv.reader(io.StringIO(to_csv(rows), newline=""))) == rows


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_byte_order_mark_and_empty_lines(tmp_path: Path, ends: str) -> None:
    (tmp_path / "a.csv").write_bytes(("\ufeffa,b" + ends + ends + "c,d" + ends).encode())
    assert read_csv(tmp_path / "a.csv", "", 2) == [(1, ["a", "b"]), (3, ["c", "d"])]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a,b,c", "3 cells where 2 are expected"),
        ('a,"b', "unexpected end of data"),
        ("a,\0", "NUL|not text"),
        (f"a,{'b' * (MAX_CELL + 1)}", "not text"),
    ],
    ids=["cells", "quotes", "null", "long"],
)
def test_damaged_row_is_named(row: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        list(parse_csv(Path("t.csv"), f"a,b\n{row}", "Correct that line.", 2))
    assert caught.value.message.startswith("t.csv, line 2, cannot be read: ")
    assert caught.value.hint == "Correct that line."


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv cannot be read: No such file"):
        read_csv(tmp_path / "none.csv", "")
