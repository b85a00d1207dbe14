"""Shot boundary detection."""

from __future__ import annotations

from collections import deque

import numpy as np
from PIL import Image

THUMBNAIL = (32, 18)
UNREST_FRAMES = 12
LARGE_CHANGE = 0.4
SMALL_CHANGE = 0.15
LEAST_CONTRAST = 10.0
HISTOGRAM_CHANGE = 0.2
TIMES_UNREST = 3.0


class ShotDetector:
    """Detect shot boundaries frame by frame: one abrupt change that is far larger than the changes just before.

    The change is a share of the contrast, so that dark frames count like bright ones.
    Holds one thumbnail and half a second of numbers.
    """

    def __init__(self) -> None:
        self._unrest: deque[float] = deque(maxlen=UNREST_FRAMES)
        self._thumbnail: np.ndarray | None = None
        self._histogram: np.ndarray = np.zeros(0)

    def __call__(self, frame: np.ndarray) -> bool:
        """Return whether the grey frame (H, W) is the first of a new shot; the first frame of all is not."""
        thumbnail = np.asarray(Image.fromarray(frame).resize(THUMBNAIL, Image.Resampling.BOX)).astype(np.float32)
        tones = frame[::4, ::4].ravel() >> 4
        histogram = np.bincount(tones, minlength=16) / tones.size
        before, earlier = self._thumbnail, self._histogram
        self._thumbnail, self._histogram = thumbnail, histogram
        if before is None:
            return False
        contrast = (thumbnail.std() + before.std()) / 2 + LEAST_CONTRAST
        change = float(np.abs(thumbnail - before).mean() / contrast)
        other_tones = float(np.abs(histogram - earlier).sum()) / 2 > HISTOGRAM_CHANGE
        usual = float(np.mean(self._unrest)) if self._unrest else 0.0
        is_cut = change > (SMALL_CHANGE if other_tones else LARGE_CHANGE) and change > TIMES_UNREST * usual
        if is_cut:
            self._unrest.clear()
        else:
            self._unrest.append(change)
        return is_cut
