"""JSON files and JSON lines: what is written is read back; torn ends differ from damaged lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from avse.errors import UsageError
from avse.io.jsonl import read_json, read_jsonl, to_json, write_json


def no_check(values: dict[str, Any]) -> str:
    return ""


def test_json_is_read_back(tmp_path: Path) -> None:
    values = {"name": "Łódź", "scores": {"pesq": 1.5}, "items": [1, None, "x"]}
    write_json(tmp_path / "a.json", values)
    assert read_json(tmp_path / "a.json", no_check, "") == values


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_become_null(number: float) -> None:
    assert json.loads(to_json({"a": number, "b": [number, (1.0, number)]})) == {"a": None, "b": [None, [1.0, None]]}


def test_one_value_is_one_line() -> None:
    assert to_json({"a": "two\nlines"}).splitlines() == ['{"a": "two\\nlines"}']


def test_names_of_files_that_are_not_utf8_survive() -> None:
    name = os.fsdecode(b"\xff.wav")
    text = to_json({"name": name})
    assert text.isascii()
    assert json.loads(text)["name"] == name


def test_rows_and_their_length_in_bytes(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n\n{"a": 2}\n{"a": 3')
    assert read_jsonl(path) == (19, [{"a": 1}, {"a": 2}])


@pytest.mark.parametrize("content", [b"", b'{"a": 1'])
def test_no_complete_line_is_no_row(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    assert read_jsonl(tmp_path / "rows.jsonl") == (0, [])


def test_missing_file_has_no_rows(tmp_path: Path) -> None:
    assert read_jsonl(tmp_path / "rows.jsonl") == (0, [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]", "not a JSON object"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": }', "Expecting value"),
        (b"\xff\xfe{}", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"bad": 1}', "no bad rows"),
    ],
)
def test_damaged_line_is_named(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    with pytest.raises(UsageError, match=reason) as caught:
        read_jsonl(path, lambda row: "no bad rows" if "bad" in row else "", "Remove that line.")
    assert caught.value.message.startswith(f"{path}, line 2, cannot be read: ")
    assert caught.value.hint == "Remove that line."


def test_symbolic_links_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("real.json")
    with pytest.raises(UsageError, match="symbolic link"):
        read_json(tmp_path / "link.json", no_check, "")
