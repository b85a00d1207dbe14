"""Windows and crossfade: the same stream again, whatever the sizes, and little of it in memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from avse.dsp.overlap_add import crossfade, sliding_windows


def blocks_of(stream: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (stream[start : start + size] for start in range(0, len(stream), size))


@pytest.mark.parametrize("total", [1, 3, 4, 5, 10, 11, 12, 13, 50, 97])
@pytest.mark.parametrize(("size", "step"), [(10, 7), (10, 5), (4, 3), (8, 8), (100, 90)])
@pytest.mark.parametrize("block", [1, 6, 13, 200])
def test_crossfaded_windows_are_the_stream(total: int, size: int, step: int, block: int) -> None:
    stream = np.random.default_rng(total).standard_normal((total, 2)).astype(np.float32)
    joined = np.concatenate(list(crossfade(sliding_windows(blocks_of(stream, block), total, size, step), size - step)))
    np.testing.assert_allclose(joined, stream, atol=1e-6)


def test_windows_begin_every_step_and_only_the_last_is_shorter() -> None:
    stream = np.arange(23)
    found = list(sliding_windows(blocks_of(stream, 4), total=23, size=10, step=6))
    assert [(window[0], len(window)) for window in found] == [(0, 10), (6, 10), (12, 10), (18, 5)]


@pytest.mark.parametrize("length", [0, 1, 9, 22])
def test_short_stream_is_filled_with_zeros(length: int) -> None:
    stream = np.ones((length, 2), np.float32)
    blocks = [*blocks_of(stream, 4), np.zeros((0, 2), np.float32)]
    joined = np.concatenate(list(crossfade(sliding_windows(blocks, 23, 10, 7), 3)))
    assert joined.shape == (23, 2)
    assert np.all(joined[:length] == 1)
    assert np.all(joined[length:] == 0)


def test_long_stream_is_cut() -> None:
    joined = np.concatenate(list(crossfade(sliding_windows(blocks_of(np.ones((99, 1)), 8), 23, 10, 7), 3)))
    np.testing.assert_allclose(joined, np.ones((23, 1)))


def test_no_more_than_a_window_and_a_block_is_held() -> None:
    taken = 0

    def stream() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 30
            yield np.zeros((30, 1))

    size, step = 100, 80
    for index, window in enumerate(sliding_windows(stream(), total=10_000, size=size, step=step)):
        assert len(window) <= size
        assert taken - index * step <= size + 30


def test_crossfade_goes_linearly_from_one_to_the_other() -> None:
    joined = np.concatenate(list(crossfade([np.zeros((8, 1)), np.ones((8, 1))], overlap=4)))
    assert joined[:, 0].tolist() == [0, 0, 0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1, 1, 1]
