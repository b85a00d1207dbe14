"""Processes that may die: what that costs, and what goes on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from avse import workers
from avse.errors import MissingError
from avse.workers import run_many


class Deadly:
    """Doubles numbers; dies of some of them, every time or only the first time."""

    def __init__(self, notes: Path, always: tuple[int, ...] = (), once: tuple[int, ...] = ()) -> None:
        self.notes, self.always, self.once = notes, always, once
        (notes / f"started-{os.getpid()}").touch()

    def __call__(self, number: int) -> int:
        tried = self.notes / f"tried-{number}"
        was_tried = tried.exists()
        tried.touch()
        if number in self.always or (number in self.once and not was_tried):
            os.kill(os.getpid(), signal.SIGKILL)
        if number < 0:
            raise RuntimeError(f"no\nnumber {number}")
        return 2 * number


def results(make_job: Callable[[], Deadly], numbers: list[int], num_jobs: int = 2) -> dict[int, str]:
    return {number: str(answer) for number, answer in run_many(make_job, numbers, num_jobs)}


def test_death_costs_its_item_alone(tmp_path: Path) -> None:
    found = results(partial(Deadly, tmp_path, always=(2,)), [1, 2, 3, 4, 5])
    assert found == {1: "2", 2: "its process died (SIGKILL)", 3: "6", 4: "8", 5: "10"}


def test_item_whose_worker_died_is_tried_once_more(tmp_path: Path) -> None:
    assert results(partial(Deadly, tmp_path, once=(1, 3)), [1, 2, 3], num_jobs=1) == {1: "2", 2: "4", 3: "6"}
    assert len(list(tmp_path.glob("started-*"))) == 3


def test_error_in_a_job_is_its_answer(tmp_path: Path) -> None:
    assert results(partial(Deadly, tmp_path), [-1, 4], num_jobs=1) == {-1: "RuntimeError: no number -1", 4: "8"}
    assert len(list(tmp_path.glob("started-*"))) == 1


def no_job() -> Deadly:
    raise OSError("no weights")


def test_worker_that_cannot_start_is_an_error() -> None:
    with pytest.raises(MissingError, match="OSError: no weights"):
        list(run_many(no_job, [1, 2], 1))


def test_nothing_to_do_starts_nothing() -> None:
    assert list(run_many(no_job, [], 2)) == []


class Sleepy:
    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def __call__(self, number: int) -> int:
        (self.notes / "pid").write_text(str(os.getpid()))
        try:
            time.sleep(60)
        finally:
            (self.notes / "tidied").touch()
        return number


def test_interruption_ends_all_workers_which_tidy_up(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(run_many(partial(Sleepy, tmp_path), [1], 1))
    thread.join()
    assert (tmp_path / "tidied").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_threads_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    assert (workers.count(), workers.count(3)) == (8, 3)
    assert [workers.threads_for(jobs) for jobs in (1, 2, 3, 16)] == [8, 4, 2, 1]
