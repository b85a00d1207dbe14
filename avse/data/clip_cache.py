"""Keep the prepared clips that were read last in memory, within a limit for each process."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from avse.data.prepared_clips import Clip, load_clip

MAX_BYTES = 512 * 2**20
"""About 300 clips of VoxCeleb2, 9 kB for every video frame; each loader process has its own cache."""


class ClipCache:
    """Hold the clips read last, at most ``max_bytes`` in total; a larger clip is not kept."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes, self.num_bytes = max_bytes, 0
        self._clips: OrderedDict[Path, Clip] = OrderedDict()

    def load(self, path: Path) -> Clip:
        """Return a clip, from memory if it is there."""
        if path in self._clips:
            self._clips.move_to_end(path)
            return self._clips[path]
        clip = load_clip(path)
        self._clips[path] = clip
        self.num_bytes += _size(clip)
        while self.num_bytes > self.max_bytes:
            _, oldest = self._clips.popitem(last=False)
            self.num_bytes -= _size(oldest)
        return clip

    def __len__(self) -> int:
        return len(self._clips)


def _size(clip: Clip) -> int:
    return sum(part.nbytes for part in (clip.audio, clip.seen, clip.lips, clip.varied) if part is not None)
