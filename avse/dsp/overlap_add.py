"""Overlap-add: cut long streams into overlapping windows and join them again with a linear cross-fade."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np


def sliding_windows(blocks: Iterable[np.ndarray], total: int, size: int, step: int) -> Iterator[np.ndarray]:
    """Cut a stream of blocks, joined along axis 0, into windows that begin every ``step`` rows.

    Window k holds rows k * step to k * step + size, or to ``total`` in the last one. A stream shorter than ``total`` is
    filled with zeros, a longer one is cut. Holds no more than one window and one block.
    """
    source = iter(blocks)
    held: list[np.ndarray] = []
    for start in range(0, max(total - (size - step), 1), step):
        wanted = min(size, total - start)
        held = _at_least(wanted, held, source)
        if not held:
            return
        window = np.concatenate(held)
        yield window[:wanted]
        held = [window[step:]]


class CrossFade:
    """Join windows (N, C) that share ``overlap`` rows with the next: the two fade linearly into each other."""

    def __init__(self, overlap: int) -> None:
        self._overlap = overlap
        self._rise = ((np.arange(overlap, dtype=np.float32) + 0.5) / max(overlap, 1))[:, None]
        self._tail: np.ndarray | None = None

    def push(self, piece: np.ndarray) -> np.ndarray:
        """Add the next window; return the rows that are final."""
        overlap, tail = self._overlap, self._tail
        if tail is not None:
            joined = tail * (1 - self._rise) + piece[:overlap] * self._rise
            piece = np.concatenate([joined, piece[overlap:]])
        final = len(piece) - overlap if len(piece) > overlap else len(piece)
        self._tail = piece[final:] if final < len(piece) else None
        return piece[:final]

    def flush(self) -> np.ndarray | None:
        """Return the rows that are left, if any."""
        return self._tail


def crossfade(pieces: Iterable[np.ndarray], overlap: int) -> Iterator[np.ndarray]:
    """Join windows (N, C) that share ``overlap`` rows with the next: the two fade linearly into each other."""
    join = CrossFade(overlap)
    yield from map(join.push, pieces)
    if (tail := join.flush()) is not None:
        yield tail


def _at_least(num_rows: int, held: list[np.ndarray], source: Iterator[np.ndarray]) -> list[np.ndarray]:
    """Yield blocks with at least so many rows in total, padded with zeros; nothing for an empty stream."""
    held = list(held)
    missing = num_rows - sum(map(len, held))
    while missing > 0 or not held:
        block = next(source, None)
        if block is None:
            if not held:
                break
            block = np.zeros((missing, *held[0].shape[1:]), held[0].dtype)
        held.append(block)
        missing -= len(block)
    return held
