"""Streaming resampling, downmixing and regrouping of audio blocks (N, C).

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
import soxr

from avse.config import SAMPLE_RATE

LOW_FREQUENCY_CHANNEL = 3
"""Index of the channel of 5.1 and 7.1 that carries no speech. Functions take it as ``low_frequency``, or None."""


class Resampler:
    """Resample a stream block by block, without delay between input and output; nothing where the rates are equal."""

    def __init__(self, from_hz: int, to_hz: int, num_channels: int) -> None:
        self._num_channels = num_channels
        self._stream = None
        if from_hz != to_hz:
            self._stream = soxr.ResampleStream(from_hz, to_hz, num_channels, dtype="float32")

    def push(self, block: np.ndarray, is_last: bool = False) -> np.ndarray:
        """Add a block (N, C); return the output that can be computed by now."""
        if self._stream is None:
            return block
        rows = self._stream.resample_chunk(np.ascontiguousarray(block, np.float32), last=is_last)
        return rows.reshape(-1, self._num_channels)

    def flush(self) -> np.ndarray:
        """Return the rest."""
        return self.push(np.zeros((0, self._num_channels), np.float32), is_last=True)


@lru_cache
def resampling_delay(from_hz: int, to_hz: int) -> float:
    """Measure how many seconds of audio a `Resampler` holds back at most; 0 where the rates are equal."""
    if from_hz == to_hz:
        return 0.0
    resampler, size, num_out, delay = Resampler(from_hz, to_hz, 1), max(from_hz // 200, 1), 0, 0.0
    for num_in in range(size, 4 * from_hz, size):
        num_out += len(resampler.push(np.zeros((size, 1), np.float32)))
        delay = max(delay, num_in / from_hz - num_out / to_hz)
    return delay + size / from_hz


def resample(blocks: Iterable[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Resample blocks without delay; yield them unchanged where the rates are equal."""
    if from_hz == to_hz:
        yield from blocks
        return
    resampler = None
    for block in blocks:
        resampler = resampler or Resampler(from_hz, to_hz, block.shape[1])
        yield resampler.push(block)
    if resampler:
        yield resampler.flush()


def downmix(blocks: Iterable[np.ndarray], low_frequency: int | None = None) -> Iterator[np.ndarray]:
    """Yield the mean of all channels that can carry speech, (N, 1)."""
    for block in blocks:
        yield speech_channels(block, low_frequency).mean(1, keepdims=True, dtype=np.float32)


def speech_channels(block: np.ndarray, low_frequency: int | None = None) -> np.ndarray:
    """Return the channels of (N, C) that can carry speech."""
    return block if low_frequency is None else np.delete(block, low_frequency, axis=1)


def to_model_rate(
    blocks: Iterable[np.ndarray], sample_rate: int, low_frequency: int | None = None
) -> Iterator[np.ndarray]:
    """Convert blocks to the network's input: one channel (N, 1) at 16 kHz."""
    return resample(downmix(blocks, low_frequency), sample_rate, SAMPLE_RATE)


def regroup(blocks: Iterable[np.ndarray], num_samples: int) -> Iterator[np.ndarray]:
    """Yield blocks of ``num_samples``, and a last one that is shorter, perhaps empty."""
    held: list[np.ndarray] = []
    missing = num_samples
    for block in blocks:
        held.append(block)
        missing -= len(block)
        while missing <= 0:
            joined = np.concatenate(held)
            yield joined[:num_samples]
            held = [joined[num_samples:]]
            missing = num_samples - len(held[0])
    if held:
        yield np.concatenate(held)


def trim_to_length(blocks: Iterable[np.ndarray], num_samples: int) -> Iterator[np.ndarray]:
    """Cut blocks, or pad at most a few samples, to ``num_samples`` in all."""
    missing, num_channels = num_samples, 1
    for block in blocks:
        num_channels = block.shape[1]
        yield block[:missing]
        missing -= len(block[:missing])
    if missing:
        yield np.zeros((missing, num_channels), np.float32)
