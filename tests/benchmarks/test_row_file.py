"""Rows of benchmarks: whatever a crash has left at the end, the next rows are read again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import asym_colour
import av_mnist
import grid_words
import missing
import pytest
from row_file import open_rows, write_rows

from avse.io.jsonl import read_jsonl


@pytest.mark.parametrize("before", ["", '{"n": 1}\n', '{"n": 1}\n{"n"', '{"n": 1}\n{"n": 2}', '{"n": 1}\n\n{"'])
def test_a_torn_line_is_cut_off(tmp_path: Path, before: str) -> None:
    path = tmp_path / "rows.jsonl"
    if before:
        path.write_text(before)
    kept = [{"n": 1}] if before else []
    for count in (1, 2):
        with open_rows(path) as file:
            write_rows(file, [{"n": 7}, {"n": 8}])
        assert read_jsonl(path)[1] == kept + count * [{"n": 7}, {"n": 8}]


def test_rows_are_on_the_disk_as_soon_as_they_are_written(tmp_path: Path) -> None:
    with open_rows(tmp_path / "rows.jsonl") as file:
        write_rows(file, [{"n": 1}])
        assert read_jsonl(tmp_path / "rows.jsonl")[1] == [{"n": 1}]


@pytest.mark.parametrize("module", [av_mnist, asym_colour, grid_words], ids=lambda module: module.__name__)
def test_every_benchmark_goes_on_after_a_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    row = {"method": "m", "share": 0.2, "apart": "speakers", "inputs": "lips + flow", "fusion": "late"}
    row |= {"accuracy": {}, "seed": 0, "steps": 9}
    (tmp_path / "page.jsonl").write_text('{"torn": ')
    monkeypatch.setattr(module, "experiment", lambda *given: iter([row]))
    monkeypatch.setattr(module, "page_parts", lambda *given: {"scores": ""})
    asked = ["DIGITS", "--mnist", "M"] if module is av_mnist else ["--train", "a", "--test", "b"]
    for _ in range(2):
        module.main([*asked, "--steps", "9", "--output", str(tmp_path / "page.md")])
    assert read_jsonl(tmp_path / "page.jsonl")[1] == [row, row]


def test_missing_video_goes_on_after_a_torn_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pool:
        def __init__(self, *given: Any) -> None: ...
        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *given: Any) -> None: ...
        def map(self, *given: Any) -> list[list[dict[str, str]]]:
            return [[{"method": "a", "sha256": "1", "video": "absent"}]]

    monkeypatch.setattr(missing, "ProcessPoolExecutor", Pool)
    (tmp_path / "rows.jsonl").write_text('{"method": "a"')
    options = argparse.Namespace(mixtures=tmp_path, limit=None, jobs=1)
    rows = missing.evaluate(options, {"a": ""}, {"a": "1"}, tmp_path / "rows.jsonl")
    assert rows == read_jsonl(tmp_path / "rows.jsonl")[1] == Pool().map()[0]
