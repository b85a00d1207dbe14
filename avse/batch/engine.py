"""What every engine promises: items go to workers that start the job once; each item ends in one outcome.

A bad item costs only itself. A worker that dies costs only its item, which is tried a second time, after the others.
A MissingError (no space, no ffmpeg, no such model) is raised: it would meet every item, so going on makes no sense.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from avse.batch.items import Item
from avse.errors import AvseError, MissingError

Report = Callable[[str, float, float], None]
Work = Callable[[Item, Report], dict[str, Any]]
Job = Callable[[], Work]
OnProgress = Callable[[int, Item, str, float, float], None]
Kind = Literal["ready", "progress", "done", "failed", "stop", "died"]

MAX_ATTEMPTS = 2
MAX_FAILED_STARTS = 3


@dataclass(frozen=True)
class Outcome:
    """What became of one item: the values that the work returned, or why there are none."""

    item: Item
    values: dict[str, Any]
    error: AvseError | None
    num_attempts: int


Outcomes = Generator[Outcome, None, None]
Engine = Callable[[Job, Sequence[Item], int, OnProgress], Outcomes]


@dataclass
class Task:
    """An item on its way, and how often it was begun."""

    item: Item
    num_attempts: int = 0

    def outcome(self, kind: Kind, value: Any) -> Outcome:
        """The end of the item by an answer: done (its values), failed (its error), or died too often (the cause)."""
        if kind == "done":
            return Outcome(self.item, value, None, self.num_attempts)
        if kind == "died":
            message = f"The worker on {self.item.name} died {self.num_attempts} times ({value})."
            value = AvseError(message, "Out of memory, perhaps: try fewer --jobs, or this recording alone.")
        return Outcome(self.item, {}, value, self.num_attempts)


class Todo:
    """The items still to be given out, and what follows from an answer."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._waiting = deque(Task(item) for item in items)
        self._num_failed_starts = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> Task:
        """The next task; it counts as begun."""
        task = self._waiting.popleft()
        task.num_attempts += 1
        return task

    def settle(self, task: Task | None, kind: Kind, value: Any) -> Outcome | None:
        """The outcome of a task, if this answer is its end; ``task`` is None for a worker that was starting."""
        if kind == "stop":
            raise value
        if task is None:
            self._num_failed_starts = 0 if kind == "ready" else self._num_failed_starts + 1
            if self._num_failed_starts == MAX_FAILED_STARTS:
                raise MissingError(f"Workers die while they start ({value}).", "Out of memory, perhaps: fewer --jobs.")
        elif kind == "died" and task.num_attempts < MAX_ATTEMPTS:
            self._waiting.append(task)
        else:
            return task.outcome(kind, value)
        return None


def start(job: Job) -> tuple[Kind, Any]:
    """In a worker: the work, or why no worker can start."""
    try:
        return "ready", job()
    except AvseError as error:
        return "stop", error
    except Exception as error:
        return "stop", MissingError(f"A worker cannot start: {_words(error)}", "See that avse itself works here.")


def attempt(work: Work, item: Item, report: Report) -> tuple[Kind, Any]:
    """In a worker: the answer for one item. Never raises, whatever the item is."""
    try:
        return "done", work(item, report)
    except MissingError as error:
        return "stop", error
    except AvseError as error:
        return "failed", error
    except Exception as error:
        hint = "A fault of avse: please report it. This shows where: avse --debug enhance RECORDING -o out.wav"
        return "failed", AvseError(f"{item.name}: {_words(error)}", hint)


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
