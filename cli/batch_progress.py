"""The progress bars of a batch: one for all recordings, and one for the recording of each job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .progress import show_bars

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

NAME_WIDTH = 36


class Bars:
    """Show the progress of the batch; nothing without a terminal."""

    def __init__(self, shown: Progress | None, num_items: int) -> None:
        self._shown, self._num_items = shown, num_items
        self._started: float | None = None
        self._num_ended = self._num_worked = 0
        self._jobs: dict[int, TaskID] = {}
        self._all = shown.add_task("all", total=num_items, what=f"0 of {num_items}") if shown else None

    def ended(self, with_work: bool) -> None:
        """Count one more finished recording, whether a worker had to work on it or not."""
        self._num_ended += 1
        self._num_worked += with_work
        if self._shown and self._all is not None:
            what = f"{self._num_ended} of {self._num_items}{self._expected_end()}"
            self._shown.update(self._all, completed=self._num_ended, what=what)

    def working(self, job: int, name: str, stage: str, done: float, total: float) -> None:
        """Show the progress of a job's recording in its current stage."""
        self._started = self._started or time.time()
        if self._shown is None:
            return
        if job not in self._jobs:
            self._jobs[job] = self._shown.add_task(f"job {job + 1}", what="")
        short = name if len(name) <= NAME_WIDTH else f"…{name[1 - NAME_WIDTH :]}"
        self._shown.update(self._jobs[job], completed=done, total=max(done, total, 1e-9), what=f"{short}: {stage}")

    def _expected_end(self) -> str:
        """Estimate the end of the batch from the mean speed since the first recording was started."""
        left = self._num_items - self._num_ended
        if not self._num_worked or self._started is None or not left:
            return ""
        end = time.time() + left * (time.time() - self._started) / self._num_worked
        form = "%H:%M:%S" if end - time.time() < 86400 else "%a %d %b %H:%M"
        return f", until {time.strftime(form, time.localtime(end))}"


@contextmanager
def bars(quiet: bool, num_items: int) -> Iterator[Bars]:
    """Yield the bars of a batch; messages by `avse_cli.progress.say` appear above them."""
    with show_bars(quiet, "{task.description:<7}", "{task.fields[what]}", width=24) as shown:
        yield Bars(shown, num_items)
