"""Keep the mouth crops of all tracks of a recording, on disk where they are many, so that it is decoded only once.

Legend: `V` video frames, `K` tracks, `S` side in pixels.
"""

from __future__ import annotations

import itertools
import tempfile
import weakref
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from avse.faces.mouth_roi import CROP_SIZE, mouth_pose
from avse.faces.tracking import Track
from avse.io.disk import TEMPORARY_HINT, unwritable

MEMORY_BYTES = 1 << 26
READ_FRAMES = 50


class _Block(NamedTuple):
    """Hold where consecutive crops are: their first frame, how many they are, and where the file has them."""

    begin: int
    length: int
    place: int


class MouthCrops:
    """Hold mouth crops, averaged to the side that the network sees, of each part of each track.

    Beyond 64 MiB they are in an unnamed temporary file, which disappears with the process, however it ends.
    A second of one face of 44 x 44 pixels takes 97 kB, two hours 0.7 GB. Pixels are kept as sums of those that were
    averaged, so that nothing is rounded.
    """

    def __init__(self, side: int) -> None:
        self.side = side
        self._scale = CROP_SIZE // side
        self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  # closed with the object
        self._blocks: defaultdict[Track, list[_Block]] = defaultdict(list)
        weakref.finalize(self, self._file.close)

    @property
    def num_bytes(self) -> int:
        """Return how much is held, in memory or on disk."""
        return self._file.seek(0, 2) or self._file.tell()

    @property
    def is_on_disk(self) -> bool:
        """Return whether there was more than memory is used for."""
        return self.num_bytes > MEMORY_BYTES

    def add(self, track: Track, begin: int, crops: np.ndarray) -> None:
        """Keep crops uint8 (V, 88, 88) of a track from frame ``begin`` on, later than those that are kept of it.

        Raises:
            MissingError: the disk is full.
        """
        place = self.num_bytes
        try:
            self._file.write(self._averaged(crops).tobytes())
            self._file.flush()
        except OSError as error:
            raise unwritable(tempfile.gettempdir(), error.strerror, TEMPORARY_HINT) from error
        self._blocks[track].append(_Block(begin, len(crops), place))

    def keep(self, tracks: Iterable[Track]) -> None:
        """Remove all tracks except these and their parts."""
        kept = {part for track in tracks for part in (track, *track.parts)}
        self._blocks = defaultdict(list, {track: found for track, found in self._blocks.items() if track in kept})

    def stream(self, tracks: Sequence[Track], num_frames: int) -> Iterator[np.ndarray]:
        """Yield the crops of K tracks, float32 (1, K, S, S) for each frame: 0 to 255, black where not visible."""
        visible = np.stack([mouth_pose(track, num_frames).visible for track in tracks])
        for begin in range(0, num_frames, READ_FRAMES):
            shown = visible[:, begin : begin + READ_FRAMES]
            sums = np.stack([self._read(track, begin, seen) for track, seen in zip(tracks, shown, strict=True)], 1)
            yield from (sums.astype(np.float32) / self._scale**2)[:, None]

    def _read(self, track: Track, begin: int, visible: np.ndarray) -> np.ndarray:
        """Return the sums of the frames from ``begin`` on, as many as ``visible`` (V,) has: black where it is not."""
        sums, end = np.zeros((len(visible), self.side, self.side), np.uint16), begin + len(visible)
        for part in [track] if track in self._blocks else track.parts:
            for block in _blocks_between(self._blocks.get(part, []), begin, end):
                low, high = max(block.begin, begin), min(block.begin + block.length, end)
                sums[low - begin : high - begin] = self._sums(block, low, high)
        return sums * visible[:, None, None]

    def _sums(self, block: _Block, low: int, high: int) -> np.ndarray:
        size = 2 * self.side**2
        self._file.seek(block.place + (low - block.begin) * size)
        return np.frombuffer(self._file.read((high - low) * size), np.uint16).reshape(-1, self.side, self.side)

    def _averaged(self, crops: np.ndarray) -> np.ndarray:
        """Add up the pixels of crops (V, 88, 88) that become one pixel in the network: uint16 (V, S, S)."""
        step = self._scale
        parts = [crops[:, y::step, x::step] for y, x in itertools.product(range(step), repeat=2)]
        return np.add.reduce(parts, dtype=np.uint16)


def _blocks_between(blocks: Sequence[_Block], begin: int, end: int) -> Iterator[_Block]:
    """Yield the blocks, in order of their frames, that share frames with those from ``begin`` to ``end``."""
    start = max(bisect_right(blocks, begin, key=lambda block: block.begin) - 1, 0)
    for block in itertools.islice(blocks, start, None):
        if block.begin >= end:
            return
        if block.begin + block.length > begin:
            yield block
