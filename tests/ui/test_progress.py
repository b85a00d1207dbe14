"""Work in a thread: its progress is followed to the end, and its errors are raised where it is followed."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from avse.progress import Report
from avse.ui import progress as module
from avse.ui.progress import Progress, Work


@pytest.mark.parametrize(
    ("progress", "share", "text"),
    [
        (Progress(), None, "Starting"),
        (Progress("face detection", 1, 4), 0.25, "Face detection: 25%"),
        (Progress("encoding", 5, 4), 1.0, "Encoding: 100%"),
        (Progress("encoding", 1, 2, 0.0), 0.5, "Encoding: 50%, about "),
    ],
)
def test_progress_in_words(progress: Progress, share: float | None, text: str) -> None:
    assert progress.share == share
    assert progress.text.startswith(text)
    assert ("left" in progress.text) == (progress.left_seconds is not None)


def test_outcome_and_last_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.01)
    followed = threading.Event()

    def work(report: Report) -> str:
        report("decoding", 1, 2)
        assert followed.wait(30)
        report("decoding", 2, 2)
        return "done"

    running, seen = Work(work), []
    for state in running.follow():
        seen.append(state)
        if state.done == 1:
            followed.set()
    assert (running.outcome, seen[-1].share) == ("done", 1.0)
    assert Progress("decoding", 1, 2) in seen


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_errors_are_raised_where_the_work_is_followed(error: BaseException) -> None:
    def work(report: Report) -> Any:
        raise error

    with pytest.raises(type(error)) as caught:
        list(Work(work).follow())
    assert caught.value is error


def test_time_left_is_estimated_from_the_current_stage_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    work: Work[None] = Work(lambda report: None)
    found = []
    for seconds, stage, done in [(0, "a", 0), (10, "a", 5), (20, "b", 0), (24, "b", 2), (24.5, "c", 1), (25, "c", 5)]:
        now[0] = float(seconds)
        work._report(stage, done, 10)
        found.append(work.progress.left_seconds)
    assert found == [None, 10.0, None, 16.0, None, None]
