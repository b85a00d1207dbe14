"""Outputs that exist only when they are whole, under names that may be written, in folders with one writer."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from batch_jobs import wait_for
from hypothesis import given
from hypothesis import strategies as st

from avse.enhancement.validation import check_recording
from avse.errors import UsageError
from avse.io import atomic, csv_files, folders, jsonl
from avse.io.paths import check_reachable
from avse.io.probe import has_video


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Give up the rights of root, if the tests run as root."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "clean.wav"
    with atomic.atomic_path(target) as partial:
        assert partial.suffix == ".wav"
        partial.write_bytes(b"half")
        assert not target.exists()
    assert target.read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_a_failure_and_the_old_file_stays(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "clean.wav"
    target.write_bytes(b"old")
    with pytest.raises(failure), atomic.atomic_path(target) as partial:  # noqa: PT012
        partial.write_bytes(b"new")
        raise failure
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_file_is_as_readable_as_any_other_though_its_writer_was_secretive(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    with atomic.atomic_path(tmp_path / "weights") as partial:
        partial.unlink()
        os.close(os.open(partial, os.O_CREAT | os.O_WRONLY, 0o600))
    assert (tmp_path / "weights").stat().st_mode == usual.stat().st_mode


@pytest.mark.parametrize("stem", ["録" * 80, "ю" * 110, "x" * 240, "concat:x", "-o"])
def test_any_name_that_the_system_allows_is_written(tmp_path: Path, stem: str) -> None:
    jsonl.write_json(tmp_path / f"{stem}.json", {"score": 1})
    assert os.listdir(tmp_path) == [f"{stem}.json"]


def test_json_has_null_for_what_is_not_a_number(tmp_path: Path) -> None:
    values = {"score": math.nan, "all": [1.5, math.inf], "path": tmp_path, "name": "запись", "inner": {"n": (1, None)}}
    jsonl.write_json(tmp_path / "report.json", values)
    expected = {"score": None, "all": [1.5, None], "path": str(tmp_path), "name": "запись", "inner": {"n": [1, None]}}
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == expected
    line = jsonl.to_json(values)
    assert "\n" not in line
    assert json.loads(line) == expected


def test_output_must_be_a_free_name_in_a_folder(tmp_path: Path) -> None:
    taken = tmp_path / "taken.wav"
    taken.touch()
    atomic.check_output(tmp_path / "free.wav", force=False)
    atomic.check_output(taken, force=True)
    for path, word in [(taken, "--force"), (tmp_path, "folder"), (tmp_path / "nowhere" / "x.wav", "mkdir")]:
        with pytest.raises(UsageError, match=word):
            atomic.check_output(path, force=False)


def test_folder_that_may_not_be_entered_is_wrong_usage(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(0)
    with unprivileged():
        for check in (lambda path: atomic.check_output(path, force=False), check_recording):
            with pytest.raises(UsageError, match=r"talk\.wav cannot be reached: Permission denied"):
                check(locked / "talk.wav")
        assert has_video(locked / "talk.mp4")
    check_reachable(tmp_path / "talk.wav")
    check_reachable(tmp_path / ("x" * 300))


def test_what_is_read_is_never_replaced_even_under_another_name(tmp_path: Path) -> None:
    recording, other_name = tmp_path / "recording.wav", tmp_path / "link.wav"
    recording.touch()
    other_name.symlink_to(recording)
    for output in (recording, other_name):
        with pytest.raises(UsageError, match=r"never replaced|symbolic link"):
            atomic.check_output(output, force=True, inputs=[recording])
    atomic.check_output(tmp_path / "clean.wav", force=True, inputs=[recording, tmp_path / "missing"])


def test_a_second_writer_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    program = f"""
import pathlib, sys, time
from avse.io.atomic import lock_folder
with lock_folder(pathlib.Path({str(tmp_path / "out")!r})):
    print("held", flush=True)
    time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"process {holder.pid} "), atomic.lock_folder(tmp_path / "out"):
            pass
        holder.kill()
    wait_for(lambda: holder.poll() is not None)
    with atomic.lock_folder(tmp_path / "out"):
        assert f"process {os.getpid()} " in (tmp_path / "out" / atomic.LOCK).read_text()


def test_folder_where_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written to"), atomic.lock_folder(tmp_path / "file" / "out"):
        pass


# What comes to be there in the meantime, links, and what a kill leaves ----------------------------------------------


@pytest.mark.parametrize("has_links", [True, False])
def test_file_that_appears_meanwhile_is_not_replaced(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        monkeypatch.setattr(os, "link", lambda *places, **options: (_ for _ in ()).throw(PermissionError()))
    target = tmp_path / "clean.wav"
    with pytest.raises(UsageError, match="another process"), atomic.never_replacing([target]):  # noqa: PT012, SIM117
        with atomic.atomic_path(target) as partial:
            partial.write_bytes(b"mine")
            target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs"
    target.unlink()
    with atomic.never_replacing([target, None, "-"]), atomic.atomic_path(target) as partial:
        partial.write_bytes(b"mine")
    assert target.read_bytes() == b"mine"
    with atomic.never_replacing([target], force=True), atomic.atomic_path(target) as partial:
        partial.write_bytes(b"forced")
    assert target.read_bytes() == b"forced"
    assert list(tmp_path.iterdir()) == [target]


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    for force in (False, True):
        with pytest.raises(UsageError, match=r"a\.wav is not a file") as caught:
            atomic.check_output(tmp_path / "a.wav", force)
        assert "--force" not in caught.value.hint


@pytest.mark.parametrize("is_there", [True, False])
def test_link_is_not_written_through(is_there: bool, tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "real.wav")
    if is_there:
        (tmp_path / "real.wav").touch()
    with pytest.raises(UsageError, match="symbolic link") as caught:
        atomic.check_output(tmp_path / "link.wav", force=True)
    assert str(tmp_path / "real.wav") in caught.value.hint


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, signal
from avse.io import atomic
folder = pathlib.Path({str(tmp_path)!r})
with atomic.atomic_path(folder / "clean.wav") as partial, atomic.spool_path(folder, ".w64") as spool:
    with atomic.scratch_folder() as scratch:
        (scratch / "recording").touch()
        print("held", flush=True)
        signal.pause()
"""
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        atomic.check_output(tmp_path / "clean.wav", force=False)
        atomic.sweep_tree(tmp_path)
        assert len(list(tmp_path.glob(".*.part*"))) == 2
        writer.kill()
    atomic.check_output(tmp_path / "clean.wav", force=False)
    assert not list(tmp_path.glob(".*.part*"))
    subprocess.run(
        [sys.executable, "-c", "from avse.io import atomic\nwith atomic.scratch_folder(): pass"],
        env=environment,
        check=True,
    )
    assert not list((tmp_path / "tmp").iterdir())


def test_what_is_swept_between_creation_and_lock_is_created_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    lock, swept = atomic._lock, []

    def lock_late(number: int) -> None:
        if not swept:
            swept.append(Path(os.readlink(f"/proc/self/fd/{number}")))
            swept[0].rmdir() if swept[0].is_dir() else swept[0].unlink()
        lock(number)

    monkeypatch.setattr(atomic, "_lock", lock_late)
    with atomic.atomic_path(tmp_path / "clean.wav") as partial:
        assert swept[0] == partial
        partial.write_bytes(b"whole")
    assert (tmp_path / "clean.wav").read_bytes() == b"whole"
    swept.clear()
    with atomic.scratch_folder() as scratch:
        assert swept[0] != scratch
        assert scratch.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["clean.wav"]


def test_a_sweep_that_comes_late_keeps_what_was_created_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".clean.0123abcd.part.wav"
    path.touch()
    lock = fcntl.flock

    def lock_late(file: BinaryIO, way: int) -> None:
        path.unlink()  # another sweep
        path.write_bytes(b"new")  # its writer, again
        lock(file, way)

    monkeypatch.setattr(atomic.fcntl, "flock", lock_late)
    atomic.sweep(tmp_path, ["clean"])
    assert path.read_bytes() == b"new"


def test_own_files_are_plain_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "results.jsonl")
    with pytest.raises(UsageError, match="not a file"):
        jsonl.read_jsonl(tmp_path / "results.jsonl")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="link is a symbolic link"):
        folders.check_inside(tmp_path / "out" / "link" / "deep" / "a.wav", tmp_path / "out")
    folders.check_inside(tmp_path / "out" / "folder" / "a.wav", tmp_path / "out")


def test_names_that_are_no_text_come_back_from_json(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / "rows.jsonl").write_text(jsonl.to_json({"item": name}) + "\n", encoding="utf-8")
    assert jsonl.read_jsonl(tmp_path / "rows.jsonl")[1] == [{"item": name}]
    jsonl.write_json(tmp_path / "one.json", {"item": name})
    assert jsonl.read_json(tmp_path / "one.json", lambda values: "", "") == {"item": name}


@pytest.mark.parametrize("cell", ["=1+1", "@a", "+a", "-a", "\t=1", "'=1", "''+1"])
def test_cells_like_formulas_come_back(cell: str, tmp_path: Path) -> None:
    csv_files.write_csv(tmp_path / "a.csv", [[cell, "-1.5", "plain", "'tis"]])
    assert (tmp_path / "a.csv").read_text().lstrip('"').startswith("'")
    assert csv_files.read_csv(tmp_path / "a.csv", "") == [(1, [cell, "-1.5", "plain", "'tis"])]


@given(rows=st.lists(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=5), min_size=1)))
def test_any_table_comes_back(rows: list[list[str]], tmp_path: Path) -> None:
    if any("\0" in cell for row in rows for cell in row):
        return
    csv_files.write_csv(tmp_path / "a.csv", rows)
    assert [row for _, row in csv_files.read_csv(tmp_path / "a.csv", "")] == rows
