"""Rows of benchmarks: whatever a crash has left at the end, the next rows are read again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import asym_colour
import av_mnist
import grid_words
import missing
import pytest
from row_file import fingerprint, open_rows, write_rows

from avse.io.jsonl import read_jsonl

ROW: dict[str, Any] = {
    "method": "zeros", "share": 0.2, "apart": "speakers", "inputs": "lips + flow", "fusion": "late", "accuracy": {},
    "seed": 0, "steps": 9,
}  # fmt: skip


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


def test_other_files_are_other_data(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / name for name in ("1.mp4", "2.mp4")]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(b"clip")
    first = fingerprint(paths, [])
    assert fingerprint(reversed(paths), []) == first
    assert len({first, fingerprint([], paths), fingerprint(paths[:1], []), fingerprint(paths)}) == 4
    paths[1].write_bytes(b"longer")
    assert fingerprint(paths, []) != first


MODULES = [av_mnist, asym_colour, grid_words]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_rows_of_other_data_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Those of earlier versions, which do not name their data, do."""
    kept = [ROW | {"data": "mine"}, ROW]
    (tmp_path / "page.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*kept, ROW | {"data": "other"}]))
    seen: list[Any] = []
    monkeypatch.setattr(module, "data_of", lambda options: "mine")
    monkeypatch.setattr(module, "experiment", lambda options, rows: seen.append(rows) or iter([]))
    monkeypatch.setattr(module, "page_parts", lambda rows, *given: seen.append(rows) or {})
    module.main([*arguments_of(module), "--output", str(tmp_path / "page.md")])
    assert seen == [kept, kept]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_data_are_told_apart_by_their_files(tmp_path: Path, module: Any) -> None:
    names = {
        av_mnist: ["M/t10k-images-idx3-ubyte.gz", "DIGITS/0_a_1.flac"],
        asym_colour: ["a/x/1.mp4", "b/y/1.mp4"],
        grid_words: ["a/x/1.npz", "b/y/1.npz"],
    }
    options = module.read_options([*arguments_of(module, tmp_path), "--output", str(tmp_path / "page.md")])
    found = set()
    for content in (b"one", b"longer"):
        for name in names[module]:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
        found |= {module.data_of(options), module.data_of(options)}
    assert len(found) == 2


def arguments_of(module: Any, folder: Path = Path()) -> list[str]:
    names = ["DIGITS", "--mnist", "M"] if module is av_mnist else ["--train", "a", "--test", "b"]
    return [name if name[0] == "-" else str(folder / name) for name in names] + ["--steps", "9"]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_benchmark_goes_on_after_a_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    (tmp_path / "page.jsonl").write_text('{"torn": ')
    monkeypatch.setattr(module, "experiment", lambda *given: iter([ROW]))
    monkeypatch.setattr(module, "data_of", lambda options: "x")
    monkeypatch.setattr(module, "page_parts", lambda *given: {"scores": ""})
    for _ in range(2):
        module.main([*arguments_of(module), "--output", str(tmp_path / "page.md")])
    assert read_jsonl(tmp_path / "page.jsonl")[1] == [ROW, ROW]


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
    options = argparse.Namespace(mixtures=tmp_path, limit=None, jobs=1, video=["present"])
    rows = missing.evaluate(options, {"a": ""}, {"a": "1"}, tmp_path / "rows.jsonl")
    assert rows == read_jsonl(tmp_path / "rows.jsonl")[1] == Pool().map()[0]
