"""Windows for streams: each ends one step after the previous one, and only its newest part becomes output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Window(NamedTuple):
    """Hold the frames ``start`` to ``stop`` of a window, and ``keep`` to ``keep_stop``, which become output."""

    start: int
    stop: int
    keep: int
    keep_stop: int


@dataclass(frozen=True)
class RollingPlan:
    """Plan the windows over a stream; all values are in video frames.

    Window k ends ``step`` frames after window k - 1 and reaches back ``window`` frames, or to the beginning. It puts
    out ``step + overlap`` frames, up to ``lookahead`` frames before its end; the first ``overlap`` of them fade over
    from the window before. A frame is put out once ``latency`` frames from it on are there.
    """

    window: int
    step: int
    overlap: int
    lookahead: int = 0

    @property
    def latency(self) -> int:
        """Return the largest number of frames that are held back."""
        return self.step + self.overlap + self.lookahead

    def place(self, number: int, num_frames: int | None = None) -> Window | None:
        """Return window ``number``. If the stream ended after ``num_frames``, the last is shorter; None after that."""
        begin, stop = number * self.step, number * self.step + self.latency
        start = max(0, stop - self.window)
        if num_frames is None or stop <= num_frames:
            return Window(start, stop, begin, stop - self.lookahead)
        has_ended = number > 0 and (stop - self.step > num_frames or begin + self.overlap >= num_frames)
        return None if has_ended else Window(start, num_frames, begin, num_frames)


class RowBuffer:
    """Hold the newest rows of a stream; rows keep their index in the whole stream."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._first = 0
        self.stop = 0
        """Number of rows added so far."""

    def push(self, rows: np.ndarray) -> None:
        """Add rows at the end."""
        if len(rows):
            self._blocks.append(rows)
            self.stop += len(rows)

    def take(self, start: int, stop: int) -> np.ndarray:
        """Return the rows ``start`` to ``stop``, and drop rows before ``start``."""
        held = np.concatenate(self._blocks)[start - self._first :]
        self._blocks, self._first = [held], start
        return held[: stop - start]

    def select(self, column: int) -> None:
        """Keep one column of the rows (K, C, ...), as (K, 1, ...)."""
        self._blocks = [block[:, column : column + 1] for block in self._blocks]

    def pad(self, stop: int) -> None:
        """Add zeros up to row ``stop``."""
        shape = self._blocks[-1].shape[1:]
        self.push(np.zeros((max(stop - self.stop, 0), *shape), self._blocks[-1].dtype))
