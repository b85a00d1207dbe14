"""The contract of all worker pools, on one machine or on several: each item ends in one outcome.

A bad item affects only itself. A worker that dies affects only its item, which is tried again after the others.
A MissingError (no space, no ffmpeg, no such model) is raised, because every other item would fail too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from avse.errors import AvseError, MissingError, lacks_memory, one_line
from avse.progress import Report

Item = TypeVar("Item")
Result = TypeVar("Result")

Work = Callable[[Item, Report], Result]
Job = Callable[[], Work[Item, Result]]
"""A picklable function, called once in each worker; it returns the function that processes one item."""
OnProgress = Callable[[int, Item, str, float, float], None]
"""Called with the number of the worker, its item, and the progress."""
Kind = Literal["ready", "progress", "done", "failed", "stop", "died"]
Answer = tuple[Kind, Any]
"""A message of a worker."""

MAX_ATTEMPTS = 2
MAX_FAILED_STARTS = 3


class LostError(AvseError):
    """Report an item whose worker died, or whose work raised an unexpected error."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """Hold the outcome of one item: ``answer`` is the result of the work, or the error."""

    item: Item
    answer: Result | AvseError
    num_attempts: int

    @property
    def error(self) -> AvseError | None:
        """Return the error; None if there is a result."""
        return self.answer if isinstance(self.answer, AvseError) else None


Outcomes = Generator[Outcome[Item, Result], None, None]


@dataclass
class Task(Generic[Item]):
    """Hold an item and the number of its attempts."""

    item: Item
    num_attempts: int = 0


class Todo(Generic[Item, Result]):
    """Hold the pending items, and decide what follows from an answer."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._waiting = deque(Task(item) for item in items)
        self._num_failed_starts = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def next(self) -> Task[Item]:
        """Return the next task, and count the attempt."""
        task = self._waiting.popleft()
        task.num_attempts += 1
        return task

    def settle(self, task: Task[Item] | None, kind: Kind, value: Any) -> Outcome[Item, Result] | None:
        """Return the outcome of a task if this answer ends it; ``task`` is None for a worker that was starting."""
        if kind == "stop":
            raise value
        if task is None:
            self._num_failed_starts = 0 if kind == "ready" else self._num_failed_starts + 1
            if self._num_failed_starts == MAX_FAILED_STARTS:
                raise MissingError(
                    f"Workers die during start-up ({value}).", "Memory may have run out: use fewer --jobs."
                )
            return None
        if kind == "died":
            if task.num_attempts < MAX_ATTEMPTS:
                self._waiting.append(task)
                return None
            reason = f"its worker died {task.num_attempts} times ({value})"
            value = LostError(reason, "Memory may have run out: use fewer --jobs, or process this recording alone.")
        return Outcome(task.item, value, task.num_attempts)


def start(job: Job[Item, Result]) -> Answer:
    """Start a worker: return its work, or why no worker can start."""
    try:
        return "ready", job()
    except AvseError as error:
        return "stop", error
    except Exception as error:
        return "stop", MissingError(f"A worker cannot start: {one_line(error)}", "Check the installation: avse doctor")


def attempt(work: Work[Item, Result], item: Item, report: Report) -> Answer:
    """Process one item and return the answer. Never raises, whatever the item is."""
    try:
        return "done", work(item, report)
    except MissingError as error:
        return "stop", error
    except AvseError as error:
        return "failed", error
    except OSError as error:
        return "failed", LostError(one_line(error), "Check the names, the permissions and the free disk space.")
    except Exception as error:
        if lacks_memory(error):
            return "failed", LostError(
                f"memory ran out ({one_line(error)})", "Use fewer --jobs, or process this recording alone."
            )
        hint = (
            "This is a bug in avse; please report it with the traceback of: avse --debug enhance RECORDING -o out.wav"
        )
        return "failed", LostError(one_line(error), hint)
