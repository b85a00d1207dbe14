"""What a batch may replace without --force: outputs that it has made itself, and nothing else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from batch_jobs import Batch, counts, write_items

from avse.batch.discovery import Item
from avse.batch.fingerprints import options_fingerprint
from avse.batch.rows import Row
from avse.batch.settings import Outcome, Settings
from avse.batch.states import states


def test_output_made_by_hand_after_a_failure_is_kept(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "bad", "well")
    batch(items)
    Path(items[0].output).write_text("by hand")
    Path(items[0].source).write_text("well")
    again = batch(items)
    assert (counts(again), again["kept"]) == ((0, 2, 0, 0), 1)
    assert Path(items[0].output).read_text() == "by hand"
    assert "was kept" in again["rows"]["00.txt"]["note"]
    assert counts(batch(items)) == (0, 2, 0, 0)
    assert counts(batch(items, force=True)) == (2, 0, 0, 0)
    assert Path(items[0].output).read_text() == "well"


def test_output_that_appeared_during_the_failure_is_kept(batch: Batch, tmp_path: Path, out: Path) -> None:
    [item] = write_items(tmp_path / "in", "bad")
    batch([item])
    Path(item.output).write_text("by hand")
    os.utime(item.output, (0, 0))
    Path(item.source).write_text("well")
    assert counts(batch([item])) == (0, 1, 0, 0)
    assert Path(item.output).read_text() == "by hand"


def test_own_output_whose_repetition_failed_is_made_again(batch: Batch, tmp_path: Path, out: Path) -> None:
    [item] = write_items(tmp_path / "in", "well")
    batch([item])
    os.utime(item.output, (0, 0))
    Path(item.source).write_text("bad")
    assert counts(batch([item], force=True)) == (0, 0, 1, 0)
    Path(item.source).write_text("well again")
    assert counts(batch([item])) == (1, 0, 0, 0)
    assert Path(item.output).read_text() == "well again"


def test_scores_asked_for_later_replace_no_output_made_by_hand(batch: Batch, tmp_path: Path, out: Path) -> None:
    [own, other] = write_items(tmp_path / "in", "well", "well")
    batch([own])
    Path(own.output).write_text("own")
    Path(other.output).write_text("by hand")
    again = batch([own, other], needs_scores=True)
    assert (counts(again), again["kept"]) == ((1, 1, 0, 0), 1)
    assert (Path(own.output).read_text(), Path(other.output).read_text()) == ("well", "by hand")
    assert counts(batch([other], needs_scores=True)) == (0, 1, 0, 0)


def test_output_behind_a_url_is_kept_after_a_failure(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/kept/a.wav", b"by hand")
    item = Item("a.mp4", "a.mp4", "memory://kept/a.wav")
    failed: Row = {"item": "a.mp4", "status": "failed", "may_replace": True, "finished": "2000-01-01T00:00:00+00:00"}
    assert states([item], Settings("memory://kept", tmp_path), {"a.mp4": failed}) == {"a.mp4": "kept"}


def test_outputs_outside_the_results_are_absolute_in_rows(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    [item] = write_items(tmp_path / "in", "well")
    relative = replace(item, output=os.path.relpath(item.output))
    settings: dict[str, Any] = {"output": "in/out", "results": tmp_path / "log"}
    (row,) = batch([relative], **settings)["rows"].values()
    assert row["output"] == str(Path(item.output).absolute())
    monkeypatch.chdir("/")
    settings["output"] = str(tmp_path / "in/out")
    assert counts(batch([item], **settings)) == (0, 1, 0, 0)
    rows: dict[str, Row] = {"another.txt": {**row, "item": "another.txt"}}
    for name in (row["output"], item.output):  # as rows of earlier versions have it
        rows["another.txt"]["output"] = name
        assert states([item], Settings(**settings), rows) == {item.name: "taken"}


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EAGAIN])
def test_only_errors_of_files_are_reported_as_such(batch: Batch, tmp_path: Path, out: Path, code: int) -> None:
    def engine(*arguments: object) -> Iterator[Outcome]:
        raise OSError(code, os.strerror(code))
        yield

    with pytest.raises(OSError, match=os.strerror(code)):
        batch(write_items(tmp_path / "in", "well"), engine=engine)


def test_output_made_with_other_options_is_kept_and_counted(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "well", "well")
    first, other = ({"model": "avse", "options": {"strength": strength}} for strength in (1.0, 0.8))
    batch(items[:1], about=first)
    again = batch(items, about=other)
    assert (counts(again), again["kept"]) == ((1, 1, 0, 0), 1)
    assert batch(items, about=other)["kept"] == 1
    assert batch(items, about=first)["kept"] == 1
    assert batch(items, about=other, force=True)["kept"] == 0
    assert batch(items, about=other)["kept"] == 0


def test_output_of_an_earlier_version_of_the_recording_is_kept_and_counted(
    batch: Batch, tmp_path: Path, out: Path
) -> None:
    items = write_items(tmp_path / "in", "well", "well", "well")
    batch(items)
    os.utime(items[0].source, (0, 0))
    Path(items[1].source).write_text("well and longer")
    Path(items[2].source).unlink()
    again = batch(items)
    assert (counts(again), again["kept"]) == ((0, 3, 0, 0), 2)
    assert Path(items[1].output).read_text() == "well"


def test_model_file_is_the_same_by_any_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.safetensors").touch()
    monkeypatch.chdir(tmp_path)
    assert options_fingerprint({"model": "m.safetensors"}) == options_fingerprint(
        {"model": str(tmp_path / "m.safetensors")}
    )
    assert options_fingerprint({"model": "avse"}) != options_fingerprint({"model": "avse-audio"})


def test_row_of_a_former_version_counts_as_equal(tmp_path: Path) -> None:
    [item] = write_items(tmp_path, "well")
    Path(item.output).parent.mkdir()
    Path(item.output).touch()
    done: Row = {"item": "00.txt", "status": "done"}
    assert states([item], Settings(str(tmp_path / "out"), tmp_path), {"00.txt": done}) == {"00.txt": "done"}
