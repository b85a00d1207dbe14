"""Run work in a thread, and follow its progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from avse.progress import Report
from avse.reports.page import span

Outcome = TypeVar("Outcome")
EVERY_SECONDS = 0.25


@dataclass
class Progress:
    """Hold the progress of a stage; ``left_seconds`` is None until it can be estimated."""

    stage: str = "starting"
    done: float = 0.0
    total: float = 0.0
    left_seconds: float | None = None

    @property
    def share(self) -> float | None:
        """Return the share that is done, from 0 to 1; None if the total is not known."""
        return min(self.done / self.total, 1.0) if self.total > 0 else None

    @property
    def text(self) -> str:
        """Return the stage, the share done and the time left as text."""
        share = "" if self.share is None else f": {self.share:.0%}"
        left = "" if self.left_seconds is None else f", about {_rounded(self.left_seconds)} left"
        return f"{self.stage.capitalize()}{share}{left}"


@dataclass
class Work(Generic[Outcome]):
    """Run a function that takes a progress report in a separate thread."""

    function: Callable[[Report], Outcome]
    outcome: Outcome | None = None
    error: BaseException | None = None
    progress: Progress = field(default_factory=Progress)
    _begun: float = 0.0

    def follow(self) -> Iterator[Progress]:
        """Start, yield the progress a few times per second until the end, and raise the error of the work, if any."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        yield self.progress
        while thread.is_alive():
            thread.join(EVERY_SECONDS)
            yield self.progress
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            self.outcome = self.function(self._report)
        except BaseException as error:
            self.error = error

    def _report(self, stage: str, done: float, total: float) -> None:
        now = time.monotonic()
        if stage != self.progress.stage:
            self._begun = now
        elapsed = now - self._begun
        left = elapsed * (total - done) / done if done > 0 and elapsed > 1 else None
        self.progress = Progress(stage, done, total, left)


def _rounded(seconds: float) -> str:
    """Format a time that is only estimated: in whole seconds."""
    whole = max(round(seconds), 1)
    return f"{whole} s" if whole < 60 else span(whole)
