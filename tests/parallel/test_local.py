"""The workers of one machine: deaths, faults and stops cost what they must, and no more."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import batch_jobs
import pytest
from batch_jobs import Scripted, Sleepy, by_name, is_alive, wait_for, write_items

from avse.batch.discovery import Item
from avse.errors import AvseError, MissingError, UsageError
from avse.parallel import local
from avse.parallel.local import run_many
from avse.parallel.tasks import LostError, attempt
from avse.progress import Report


def nothing(worker: int, item: Item, stage: str, done: float, total: float) -> None:
    """Ignore the progress."""


@pytest.fixture
def job(tmp_path: Path) -> Scripted:
    (tmp_path / "starts").mkdir()
    return Scripted(tmp_path / "starts")


def test_workers_start_once_and_share_the_cores(job: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local, "num_cores", lambda: 7)
    items = write_items(tmp_path / "in", "meet 01", "meet 00", *["nap 0.1"] * 4)
    outcomes = by_name(list(run_many(job, items, 2, nothing)))
    assert [outcome.error for outcome in outcomes.values()] == [None] * 6
    assert {outcome.num_attempts for outcome in outcomes.values()} == {1}
    assert len({outcome.answer["pid"] for outcome in outcomes.values()}) == 2
    assert {outcome.answer["threads"] for outcome in outcomes.values()} == {"3"}
    assert len(list(job.starts.iterdir())) == 2
    assert not any(is_alive(outcome.answer["pid"]) for outcome in outcomes.values())


def test_threads_that_the_user_set_stay(job: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    [outcome] = run_many(job, write_items(tmp_path / "in", "well"), 4, nothing)
    assert outcome.answer["threads"] == "5"
    assert len(list(job.starts.iterdir())) == 1


def test_bad_items_and_deaths_cost_only_themselves(job: Scripted, tmp_path: Path) -> None:
    items = write_items(tmp_path / "in", "die", "well", "bad", "die-once", "crash", "well", "die", "well")
    ended = by_name(list(run_many(job, items, 2, nothing)))
    assert [name for name, outcome in ended.items() if outcome.error is None] == ["01", "03", "05", "07"]
    assert {name: outcome.num_attempts for name, outcome in ended.items() if outcome.num_attempts > 1} == {
        "00": 2, "03": 2, "06": 2,
    }  # fmt: skip
    assert ended["02"].error is not None
    assert "is bad" in ended["02"].error.message
    assert "ValueError: a fault of two lines" in str(ended["04"].error)
    for name in ("00", "06"):
        assert "its worker died 2 times (SIGKILL)" in str(ended[name].error)
        assert isinstance(ended[name].error, LostError)


def test_item_whose_worker_died_comes_after_the_others(job: Scripted, tmp_path: Path) -> None:
    items = write_items(tmp_path / "in", "die-once", "well", "well")
    assert [outcome.item.name for outcome in run_many(job, items, 1, nothing)] == ["01.txt", "02.txt", "00.txt"]


def test_no_items_no_workers(job: Scripted) -> None:
    assert list(run_many(job, [], 2, nothing)) == []
    assert list(job.starts.iterdir()) == []


@pytest.mark.parametrize(
    ("start", "kind", "words", "most"),
    [
        ("unknown model", UsageError, "no such model", 2),
        ("fault", MissingError, "RuntimeError: a fault", 2),
        ("dead", MissingError, "SIGKILL", 5),
    ],
)
def test_worker_that_cannot_start_stops_all(
    job: Scripted, tmp_path: Path, start: str, kind: type[AvseError], words: str, most: int
) -> None:
    items = write_items(tmp_path / "in", *["well"] * 9)
    with pytest.raises(kind, match=words):
        list(run_many(Scripted(job.starts, start), items, 2, nothing))
    assert 1 <= len(list(job.starts.iterdir())) <= most


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_system_without_room_for_a_worker_is_named(
    job: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(local._WorkerPool, "_start_worker", refuse)
    with pytest.raises(MissingError, match=os.strerror(code)) as raised:
        list(run_many(job, write_items(tmp_path / "in", "well"), 1, nothing))
    assert "--jobs" in raised.value.hint


def test_what_the_machine_lacks_stops_all(job: Scripted, tmp_path: Path) -> None:
    items = write_items(tmp_path / "in", "well", "missing", *["nap 1"] * 9)
    with pytest.raises(MissingError, match="no such program"):
        list(run_many(job, items, 1, nothing))
    assert len(list((tmp_path / "in" / "out").iterdir())) == 1


def test_progress_names_worker_and_item(job: Scripted, tmp_path: Path) -> None:
    items = write_items(tmp_path / "in", "well", "well", "bad")
    reported: list[Any] = []
    list(run_many(job, items, 2, lambda *words: reported.append(words)))
    assert {item.name for _, item, _, _, _ in reported} == {"00.txt", "01.txt", "02.txt"}
    assert {words[0] for words in reported} <= {0, 1}
    assert {words[2:] for words in reported} == {("obeying", 1.0, 2.0)}


def test_leaving_early_ends_workers_and_what_they_started(
    job: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "GRACE_SECONDS", 1.0)  # which such a worker uses up
    outcomes = run_many(job, write_items(tmp_path / "in", "well", "sleep"), 1, nothing)
    next(outcomes)
    pids = list(map(int, wait_for(lambda: _words(tmp_path / "in" / "01.pids"))))
    assert len(pids) == 3
    assert all(map(is_alive, pids))
    outcomes.close()
    wait_for(lambda: not any(map(is_alive, pids)))


def test_killed_worker_leaves_no_program_that_it_started(job: Scripted, tmp_path: Path) -> None:
    with as_first_in_a_container():
        [outcome] = run_many(job, write_items(tmp_path / "in", "die-with-child"), 1, nothing)
    assert isinstance(outcome.error, LostError)
    [child] = _words(tmp_path / "in" / "00.pids")
    assert not Path(f"/proc/{child}").exists()


@contextmanager
def as_first_in_a_container() -> Iterator[None]:
    """Orphans become children of this process, which must wait for them, as those of the first in a container."""
    set_child_subreaper, libc = 36, ctypes.CDLL(None)
    assert libc.prctl(set_child_subreaper, 1, 0, 0, 0) == 0
    yield
    libc.prctl(set_child_subreaper, 0, 0, 0, 0)


def test_workers_die_with_their_parent(job: Scripted, tmp_path: Path) -> None:
    write_items(tmp_path / "in", "sleep", "sleep")
    program = f"""
import sys; sys.path.insert(0, {str(Path(batch_jobs.__file__).parent)!r})
from pathlib import Path
from batch_jobs import Scripted, write_items
from avse.parallel.local import run_many
if __name__ == "__main__":
    items = write_items(Path({str(tmp_path / "in")!r}), "sleep", "sleep")
    list(run_many(Scripted(Path({str(job.starts)!r})), items, 2, print))
"""
    (tmp_path / "program.py").write_text(program)
    with subprocess.Popen([sys.executable, tmp_path / "program.py"], stdout=subprocess.DEVNULL) as parent:
        pids = [
            int(pid)
            for name in ("00", "01")
            for pid in wait_for(lambda name=name: _words(tmp_path / "in" / f"{name}.pids"))
        ]
        os.kill(parent.pid, signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, pids)))


def test_items_and_results_may_be_anything(tmp_path: Path) -> None:
    ended = {outcome.item: outcome.answer for outcome in run_many(partial(Sleepy, tmp_path, 0.0), [-1, 4], 2)}
    assert ended[4] == 8
    assert isinstance(ended[-1], LostError)
    assert ended[-1].message == "RuntimeError: no number -1"


def test_interruption_ends_all_workers_which_tidy_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "GRACE_SECONDS", 60.0)

    def interrupt() -> None:
        wait_for(lambda: _words(tmp_path / "pid"))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(run_many(partial(Sleepy, tmp_path, 60.0), [1], 1))
    thread.join()
    assert (tmp_path / "tidied").exists()
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_threads_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    assert (local.count(), local.count(3)) == (8, 3)
    assert [local.threads_for(jobs) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]


def test_cores_are_counted_where_processes_have_no_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert local.num_cores() == 6


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_what_the_system_refuses_is_no_fault_of_avse() -> None:
    def refuse(item: int, report: Report) -> None:
        raise OSError(36, "File name too long", "a" * 300)

    kind, error = attempt(refuse, 1, lambda stage, done, total: None)
    assert kind == "failed"
    assert "File name too long" in error.message
    assert "report" not in error.hint
