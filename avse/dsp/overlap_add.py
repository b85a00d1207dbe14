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


def crossfade(pieces: Iterable[np.ndarray], overlap: int) -> Iterator[np.ndarray]:
    """Join windows (N, C) that share ``overlap`` rows with the next: the two fade linearly into each other."""
    tail: np.ndarray | None = None
    rise = ((np.arange(overlap, dtype=np.float32) + 0.5) / max(overlap, 1))[:, None]
    for piece in pieces:
        if tail is not None:
            piece = np.concatenate([tail * (1 - rise) + piece[:overlap] * rise, piece[overlap:]])
            tail = None
        if len(piece) <= overlap:
            yield piece
            continue
        yield piece[: len(piece) - overlap]
        tail = piece[len(piece) - overlap :]
    if tail is not None:
        yield tail


def _at_least(num_rows: int, held: list[np.ndarray], source: Iterator[np.ndarray]) -> list[np.ndarray]:
    """Yield blocks that have so many rows together, padded with zeros; none if the stream gives nothing at all."""
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
