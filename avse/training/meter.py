"""How fast a run goes, and its mean losses, from one line of its log to the next."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

Item = TypeVar("Item")


class Meter:
    """Measure a run from ``step`` on, of ``num_steps`` in all."""

    def __init__(self, step: int, num_steps: int) -> None:
        self._first, self._num_steps = step, num_steps
        self._started = self._since = time.monotonic()
        self._reset()

    def timed(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Yield the batches; the time until each of them is there counts as data wait."""
        iterator = iter(batches)
        while True:
            before = time.monotonic()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            self._waited += time.monotonic() - before
            yield batch

    def add(self, losses: Mapping[str, float]) -> None:
        """Count one step with its losses."""
        self._count += 1
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def take(self, step: int) -> dict[str, float]:
        """Return mean losses and speed since the last call: steps/s, share of data wait, seconds left of the run.

        The time left is that of the remaining steps at the mean speed of this session, validation included.
        """
        now = time.monotonic()
        seconds = max(now - self._since, 1e-9)
        values = {name: total / self._count for name, total in self._sums.items()}
        per_step = (now - self._started) / max(step - self._first, 1)
        values |= {
            "speed/steps_per_second": self._count / seconds,
            "speed/data_wait": min(self._waited / seconds, 1.0),
            "speed/seconds_left": per_step * (self._num_steps - step),
        }
        self._since = now
        self._reset()
        return values

    def _reset(self) -> None:
        self._count, self._waited = 0, 0.0
        self._sums: dict[str, float] = {}
