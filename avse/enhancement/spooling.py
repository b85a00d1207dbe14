"""Keep streams of audio blocks on disk until they are needed, so that the length of a recording does not matter.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from avse.io import atomic
from avse.io.writer import reraise_write_errors

_BLOCK = 1 << 18


class Spool:
    """Hold one stream of audio in a temporary file of 32-bit floats."""

    def __init__(self, path: Path, sample_rate: int, num_channels: int) -> None:
        self.path = path
        self._file = soundfile.SoundFile(os.fsencode(path), "w", sample_rate, num_channels, "FLOAT", format="W64")

    def write(self, block: np.ndarray) -> None:
        """Write a block (N, C)."""
        self._file.write(block)

    def close(self) -> None:
        """Close the file for writing."""
        self._file.close()

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield what was written, in blocks (N, C) of float32."""
        with soundfile.SoundFile(os.fsencode(self.path)) as file:
            yield from file.blocks(_BLOCK, dtype="float32", always_2d=True)


@contextlib.contextmanager
def spooled(
    steps: Iterable[tuple[np.ndarray, ...]], count: int, sample_rate: int, num_channels: int, folder: Path | None
) -> Iterator[list[Spool]]:
    """Run ``count`` parallel streams to their end, and yield them as spools, deleted afterwards.

    Args:
        steps: a block (N, C) of each stream at a time.
        folder: where the temporary files go; None is the system's folder for them.

    Raises:
        AvseError: the disk is full.
    """
    with contextlib.ExitStack() as stack:
        paths = [stack.enter_context(atomic.spool_path(folder, ".w64")) for _ in range(count)]
        with reraise_write_errors(folder):
            spools = [Spool(path, sample_rate, num_channels) for path in paths]
            for spool in spools:
                stack.callback(spool.close)
            for step in steps:
                for spool, block in zip(spools, step, strict=True):
                    spool.write(block)
            for spool in spools:
                spool.close()
        yield spools
