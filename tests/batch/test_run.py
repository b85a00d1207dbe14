"""What a batch writes down, what it skips, what it goes on with, and who may run it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_jobs import Batch, counts, write_items
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import json_values

from avse.batch import run
from avse.batch.discovery import Item
from avse.batch.journal import OTHERS, REQUIRED, Journal
from avse.batch.settings import Settings
from avse.batch.states import states
from avse.errors import MissingError, UsageError
from avse.io import atomic
from avse.reports.batch import batch_report


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_every_end_is_a_line(batch: Batch, tmp_path: Path, out: Path) -> None:
    summary = batch(write_items(tmp_path / "in", "well", "bad", "die-once", "die"), about={"model": "m"})
    assert counts(summary) == (2, 0, 2, 0)
    rows = {row["item"]: row for row in lines(out)}
    assert rows == summary["rows"]
    assert [rows[f"0{number}.txt"]["status"] for number in range(4)] == ["done", "failed", "done", "failed"]
    assert [rows[f"0{number}.txt"]["attempts"] for number in range(4)] == [1, 1, 2, 2]
    assert rows["00.txt"]["output"] == "00.wav"
    assert rows["00.txt"]["source"] == str(tmp_path / "in" / "00.txt")
    assert (rows["00.txt"]["error"], rows["00.txt"]["duration_seconds"]) == (None, 1.0)
    assert rows["03.txt"]["error"] == "03.txt: its worker died 2 times (SIGKILL)"
    assert ("is bad" in rows["01.txt"]["error"], rows["01.txt"]["hint"]) == (True, "Make it good.")
    told = json.loads((out / "summary.json").read_text())
    assert (told["model"], told["items"], told["recording_seconds"], told["stopped"]) == ("m", 4, 2.0, None)
    assert counts(told) == (2, 0, 2, 0)
    page = (out / "report.html").read_text()
    assert "03.txt" in page
    assert "Make it good." in page
    expected = [atomic.LOCK, "00.wav", "02.wav", "report.html", "results.jsonl", "summary.json"]
    assert sorted(os.listdir(out)) == expected


def test_what_is_done_is_skipped_and_what_failed_is_tried_again(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "well", "bad", "well")
    batch(items)
    (tmp_path / "in" / "01.txt").write_text("well")
    (out / "02.wav").unlink()
    again = batch(items)
    assert counts(again) == (2, 1, 0, 0)
    assert again["rows"]["00.txt"]["status"] == "skipped"
    assert again["rows"]["00.txt"]["duration_seconds"] == 1.0
    assert [row["item"] for row in lines(out)].count("00.txt") == 1
    assert [(row["item"], row["status"]) for row in lines(out)].count(("01.txt", "done")) == 1
    assert counts(batch(items)) == (0, 3, 0, 0)
    assert len(lines(out)) == 5
    assert counts(batch(items, force=True)) == (3, 0, 0, 0)


def test_output_without_a_line_is_done_all_the_same(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "bad", "well")
    out.mkdir()
    (out / "00.wav").touch()
    assert counts(batch(items)) == (1, 1, 0, 0)
    assert sorted((row["item"], row["status"]) for row in lines(out)) == [("00.txt", "skipped"), ("01.txt", "done")]
    assert counts(batch(items)) == (0, 2, 0, 0)
    assert len(lines(out)) == 2


def test_output_of_another_recording_is_not_replaced_silently(batch: Batch, tmp_path: Path, out: Path) -> None:
    [first, other] = write_items(tmp_path / "in", "well", "well two")
    batch([first])
    other = Item(other.name, other.source, first.output)
    refused = batch([other])
    assert counts(refused) == (0, 0, 1, 0)
    assert "made from another recording" in refused["rows"]["01.txt"]["error"]
    assert (out / "00.wav").read_text() == "well"
    assert counts(batch([other], force=True)) == (1, 0, 0, 0)
    assert (out / "00.wav").read_text() == "well two"
    assert counts(batch([first])) == (0, 0, 1, 0)


def test_recording_without_video_keeps_its_other_output(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = [
        replace(item, audio_output=f"{item.output}.audio") for item in write_items(tmp_path / "in", "audio", "well")
    ]
    first = batch(items)
    assert counts(first) == (2, 0, 0, 0)
    outputs = {"00.txt": "00.wav.audio", "01.txt": "01.wav"}
    assert {name: row["output"] for name, row in first["rows"].items()} == outputs
    again = batch(items)
    assert counts(again) == (0, 2, 0, 0)
    assert {name: row["output"] for name, row in again["rows"].items()} == outputs
    assert sorted(path.name for path in out.glob("0*")) == ["00.wav.audio", "01.wav"]
    assert counts(batch(items, force=True)) == (2, 0, 0, 0)
    (out / "00.wav.audio").unlink()
    assert counts(batch(items)) == (1, 1, 0, 0)


def test_other_output_of_another_recording_is_not_taken_for_its_own(batch: Batch, tmp_path: Path, out: Path) -> None:
    [first, other] = write_items(tmp_path / "in", "well", "well two")
    batch([first])
    assert counts(batch([replace(other, audio_output=first.output)])) == (1, 0, 0, 0)
    assert (out / "00.wav").read_text() == "well"
    assert (out / "01.wav").read_text() == "well two"


@pytest.mark.parametrize("is_known", [False, True])
def test_another_file_beside_the_output_of_a_video_does_not_end_its_work(
    batch: Batch, tmp_path: Path, out: Path, is_known: bool
) -> None:
    """A sidecar, or an output that an earlier run with another suffix has made."""
    [item] = write_items(tmp_path / "in", "well")
    other = f"{item.output}.audio"
    if is_known:
        batch([replace(item, output=other)])
    out.mkdir(exist_ok=True)
    Path(other).write_text("other")
    assert counts(batch([replace(item, audio_output=other)])) == (1, 0, 0, 0)
    assert (Path(item.output).read_text(), Path(other).read_text()) == ("well", "other")


def test_item_without_scores_is_not_done_where_scores_are_asked_for(tmp_path: Path, out: Path) -> None:
    [item] = write_items(tmp_path / "in", "well")
    out.mkdir()
    Path(item.output).touch()
    row = {"item": "00.txt", "status": "done", "output": "00.wav"}
    for scores, needed, state in [(None, False, "done"), (None, True, "redo"), ({"before": 1}, True, "done")]:
        settings = Settings(str(out), out, needs_scores=needed)
        assert states([item], settings, {"00.txt": row | {"scores": scores}}) == {"00.txt": state}
    failed = row | {"status": "failed", "scores": {}}
    assert states([item], Settings(str(out), out), {"00.txt": failed}) == {"00.txt": "kept"}


def test_half_written_outputs_of_a_killed_batch_are_swept(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "well")
    out.mkdir()
    (out / ".00.89abcdef.part.wav").touch()
    batch(items)
    assert not list(out.glob("*.part*"))


def test_stop_is_in_the_summary(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "well", "missing", "well")
    with pytest.raises(MissingError, match="no such program"):
        batch(items, num_workers=1)
    told = json.loads((out / "summary.json").read_text())
    assert (counts(told), told["stopped"]) == ((1, 0, 0, 2), "There is no such program.")
    assert [row["item"] for row in lines(out)] == ["00.txt"]


def test_name_that_is_no_utf_8_is_written_down(batch: Batch, tmp_path: Path, out: Path) -> None:
    [item] = write_items(tmp_path / "in", "well")
    name = os.fsdecode(b"\xff.txt")
    os.rename(item.source, tmp_path / "in" / name)
    odd = Item(name, str(tmp_path / "in" / name), str(out / os.fsdecode(b"\xff.wav")))
    assert counts(batch([odd])) == (1, 0, 0, 0)
    assert lines(out)[0]["item"] == r"\udcff.txt"
    assert counts(batch([odd])) == (0, 1, 0, 0)


# The journal --------------------------------------------------------------------------------------------------------


def test_torn_line_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_bytes(b'{"item": "a", "status": "done"}\n{"item": "b", "sta')
    journal = Journal(tmp_path)
    assert list(journal.last()) == ["a"]
    journal.append({"item": "c", "status": "failed"})
    journal.append({"item": "c", "status": "done"})
    assert [row["item"] for row in lines(tmp_path)] == ["a", "c", "c"]
    assert Journal(tmp_path).last()["c"]["status"] == "done"


GOOD = b'{"item": "a", "status": "done", "output": "a.wav", "scores": {"before": {"stoi": 0.5}, "after": {}}}\n'


@pytest.mark.parametrize(
    "line",
    [
        b"no json", b"[1]", b"3", b'{"other": 1}', b'{"item": "a"}', b'{"item": ["a"], "status": "done"}', b"\xff\xfe",
        b'{"item": "a", "status": "finished"}', b'{"item": "a", "status": "done", "output": ["a.wav"]}',
        b'{"item": "a", "status": "done", "scores": 3}', b'{"item": "a", "status": "done", "scores": {"after": 3}}',
        b'{"item": "a", "status": "done", "seen_share": NaN}',
        b"[" * 100_000, b'{"item": "a", "status": "done", "elapsed_seconds": true}',
        b'{"item": "a", "status": "done", "num_faces": 1' + b"0" * 400 + b"}",
    ],
)  # fmt: skip
def test_line_that_is_no_row_is_named_and_nothing_is_overwritten(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(GOOD + line + b"\n" + GOOD)
    with pytest.raises(UsageError, match=r"results\.jsonl, line 2,") as caught:
        Journal(tmp_path)
    assert len(str(caught.value).splitlines()) == 2
    assert path.read_bytes() == GOOD + line + b"\n" + GOOD


@given(row=st.dictionaries(st.sampled_from([*REQUIRED, *OTHERS]), json_values) | json_values)
@settings(max_examples=200)
def test_any_row_makes_a_report_or_is_refused(row: Any, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(GOOD + json.dumps(row).encode() + b"\n")
    try:
        rows = list(Journal(tmp_path).last().values())
    except UsageError:
        return
    batch_report(rows, {}, tmp_path / "report.html")


def test_link_in_place_of_the_results_is_not_followed(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "well")
    out.mkdir()
    for name in ("results.jsonl", atomic.LOCK):
        precious = tmp_path / "precious"
        precious.write_text("precious")
        (out / name).unlink(missing_ok=True)
        (out / name).symlink_to(precious)
        with pytest.raises(UsageError, match="symbolic link"):
            batch(items)
        assert precious.read_text() == "precious"
        (out / name).unlink()
    assert counts(batch(items)) == (1, 0, 0, 0)


def test_links_in_the_output_folder_are_not_followed(batch: Batch, tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "well", "well", "well")
    deep = Item(items[2].name, items[2].source, str(out / "sub" / "02.wav"))
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "precious").write_text("precious")
    (out / "00.wav").symlink_to(tmp_path / "precious")
    (out / "sub").symlink_to(tmp_path / "elsewhere")
    for force in (False, True):
        summary = batch([items[0], items[1], deep], force=force)
        assert summary["failed"] == 2
        assert all("symbolic link" in summary["rows"][f"0{number}.txt"]["error"] for number in (0, 2))
    assert (tmp_path / "precious").read_text() == "precious"
    assert not list((tmp_path / "elsewhere").iterdir())
    assert (out / "01.wav").read_text() == "well"


def test_workers_know_what_they_may_replace(tmp_path: Path, out: Path) -> None:
    items = write_items(tmp_path / "in", "well", "well")
    out.mkdir()
    Path(items[0].output).touch()
    told: list[bool] = []

    def engine(job: Any, todo: Any, *others: Any) -> Any:
        told.extend(item.may_replace for item in todo)
        yield from ()

    for force in (False, True):
        run(None, items, Settings(str(out), out, engine=engine, force=force), lambda *words: None)  # type: ignore[arg-type]
    assert told == [False, True, True]


# The lock -----------------------------------------------------------------------------------------------------------


def test_one_batch_at_a_time(batch: Batch, tmp_path: Path, out: Path) -> None:
    with atomic.lock_folder(out), pytest.raises(UsageError, match=f"process {os.getpid()} on ") as refusal:
        batch(write_items(tmp_path / "in", "well"))
    assert "already" in refusal.value.message
    assert os.listdir(out) == [atomic.LOCK]
    with atomic.lock_folder(out), pytest.raises(UsageError, match="already"):
        batch(write_items(tmp_path / "in", "well"), results=tmp_path / "log")
    assert counts(batch(write_items(tmp_path / "in", "well"))) == (1, 0, 0, 0)


@pytest.mark.parametrize("name", ["summary.json", "report.html"])
def test_folder_in_the_place_of_a_result_is_an_error_before_any_work(tmp_path: Path, name: str) -> None:
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(UsageError, match=f"{name} is not a file"):
        run(
            lambda: pytest.fail("work began"), [], Settings(str(tmp_path / "out"), tmp_path / "out"), lambda *rest: None
        )
