"""One work at a time for all visitors, in order of arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

EVERY_SECONDS = 0.25


class WaitingLine:
    """Run the work of several visitors one after the other."""

    def __init__(self) -> None:
        self._line: list[object] = []
        self._moved = Condition()

    @contextmanager
    def turn(self, on_wait: Callable[[int], None]) -> Iterator[None]:
        """Wait until all earlier visitors are done, then run the block.

        Args:
            on_wait: called a few times per second with the number of visitors ahead. An exception that it raises leaves
                the queue.
        """
        place = object()
        with self._moved:
            self._line.append(place)
        try:
            while ahead := self._line.index(place):
                on_wait(ahead)
                with self._moved:
                    self._moved.wait_for(lambda: self._line[0] is place, EVERY_SECONDS)
            yield
        finally:
            with self._moved:
                self._line.remove(place)
                self._moved.notify_all()
