"""Spans: the time of nested work counts once, and nothing is kept unless somebody records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from avse import progress
from avse.progress import SampleCounter, Stage, record_spans, span, timed_items


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_time_of_an_inner_span_is_not_that_of_the_outer(clock: list[float]) -> None:
    with record_spans() as recorder:
        clock[0] = 5.0
        with span(Stage.WRITE):
            clock[0] = 6.0
            with span(Stage.AUDIO):
                clock[0] = 16.0
            clock[0] = 18.0
        clock[0] = 99.0
    assert recorder.seconds == {Stage.WRITE: 3.0, Stage.AUDIO: 10.0}
    assert recorder.counts == {Stage.WRITE: 1, Stage.AUDIO: 1}


def test_stream_is_timed_while_it_works_and_not_while_it_waits(clock: list[float]) -> None:
    def work() -> Iterator[int]:
        for index in range(3):
            clock[0] += 2.0
            yield index

    with record_spans() as recorder:
        for _ in timed_items(Stage.DETECT, work()):
            clock[0] += 50.0
    assert recorder.seconds == {Stage.DETECT: 6.0}


def test_failure_closes_its_span(clock: list[float]) -> None:
    def fail() -> None:
        with span(Stage.TRACK):
            clock[0] += 1.0
            raise ValueError("broken")

    with record_spans() as recorder:
        with pytest.raises(ValueError, match="broken"):
            fail()
        clock[0] += 10.0
        with span(Stage.CROP):
            clock[0] += 2.0
    assert recorder.seconds == {Stage.TRACK: 1.0, Stage.CROP: 2.0}


def test_both_ends_of_a_span_wait_for_the_device() -> None:
    waits: list[int] = []
    with record_spans(lambda: waits.append(1)), span(Stage.AUDIO):
        pass
    assert len(waits) == 2


def test_nothing_is_kept_where_nobody_records() -> None:
    with span(Stage.AUDIO):
        assert list(timed_items(Stage.CROP, [1, None, 3])) == [1, None, 3]
    with record_spans() as recorder:
        pass
    with span(Stage.AUDIO):
        pass
    assert not recorder.seconds


def test_samples_of_several_files_are_counted_together_as_they_are_read() -> None:
    counts: list[int] = []
    counter = SampleCounter(counts.append)
    assert [len(block) for block in counter.count([[1, 2], [3]])] == [2, 1]
    assert next(counter.count([[4, 5, 6], [7]])) == [4, 5, 6]
    assert (counts, counter.num_samples) == ([2, 3, 6], 6)
