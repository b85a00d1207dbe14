"""Progress reports, and spans that time the stages of the pipeline while they are recorded."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import TypeVar

Report = Callable[[str, float, float], None]
"""Called with the current stage, the amount done, and the total. An exception that it raises cancels the work."""

Item = TypeVar("Item")
Block = TypeVar("Block", bound=Sized)


def silent(stage: str, done: float, total: float) -> None:
    """Report nothing."""


class SampleCounter:
    """Count the samples of blocks as they are read, of one file or of several, and report the sum.

    Attributes:
        num_samples: the samples read so far.
    """

    def __init__(self, on_count: Callable[[int], None]) -> None:
        self.num_samples, self._on_count = 0, on_count

    def count(self, blocks: Iterable[Block]) -> Iterator[Block]:
        """Yield the same blocks (N, ...), each after it was reported."""
        for block in blocks:
            self.num_samples += len(block)
            self._on_count(self.num_samples)
            yield block


class Stage(str, Enum):
    """List the stages of the pipeline that are timed, in order."""

    PROBE = "probe"
    READ_AUDIO = "decode audio"
    MEASURE = "measure level"
    READ_VIDEO = "decode video"
    LOAD_DETECTOR = "load face detector"
    DETECT = "face detection"
    TRACK = "face tracking"
    ACTIVITY = "active speaker detection"
    CROP = "mouth crops"
    AV_OFFSET = "AV offset"
    FEATURES = "features"
    LIPS = "lip stream"
    AUDIO = "audio stream and fusion"
    OVERLAP_ADD = "overlap-add"
    WRITE = "write"


class SpanRecorder:
    """Hold seconds and number of spans by stage; time inside a nested span counts for that span only."""

    def __init__(self, synchronise: Callable[[], None] | None = None) -> None:
        self.seconds: defaultdict[Stage, float] = defaultdict(float)
        self.counts: Counter[Stage] = Counter()
        self._open: list[Stage] = []
        self._since = 0.0
        self._synchronise = synchronise

    def begin(self, stage: Stage) -> None:
        """Open a span; the one around it is paused."""
        self._turn()
        self._open.append(stage)
        self.counts[stage] += 1

    def end(self) -> None:
        """Close the innermost span; the one around it continues."""
        self._turn()
        self._open.pop()

    def _turn(self) -> None:
        """Add the time since the last change to the innermost open span."""
        if self._synchronise:
            self._synchronise()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


_recorder: ContextVar[SpanRecorder | None] = ContextVar("recorder", default=None)


@contextmanager
def record_spans(synchronise: Callable[[], None] | None = None) -> Iterator[SpanRecorder]:
    """Collect the spans of all work in this context.

    Args:
        synchronise: called at both ends of every span, for example to wait for a GPU.
    """
    recorder = SpanRecorder(synchronise)
    token = _recorder.set(recorder)
    try:
        yield recorder
    finally:
        _recorder.reset(token)


@contextmanager
def span(stage: Stage) -> Iterator[None]:
    """Measure the time of a block as part of ``stage``; does nothing unless spans are recorded."""
    recorder = _recorder.get()
    if recorder is None:
        yield
        return
    recorder.begin(stage)
    try:
        yield
    finally:
        recorder.end()


def timed_items(stage: Stage, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items of a stream; the time to produce each is part of ``stage``."""
    stream, nothing = iter(items), object()
    while True:
        with span(stage):
            item = next(stream, nothing)
        if item is nothing:
            return
        yield item  # type: ignore[misc]
