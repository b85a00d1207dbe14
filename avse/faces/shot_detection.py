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
    Holds one frame and half a second of numbers.
    """

    def __init__(self) -> None:
        self._unrest: deque[float] = deque(maxlen=UNREST_FRAMES)
        self._before: tuple[np.ndarray, np.ndarray, float] | None = None
        """The previous frame, its thumbnail and the contrast of the thumbnail."""

    def __call__(self, frame: np.ndarray) -> bool:
        """Return whether the grey frame (H, W) is the first of a new shot; the first frame of all is not."""
        image = Image.fromarray(frame).resize(THUMBNAIL, Image.Resampling.BOX, reducing_gap=1.0)
        thumbnail = np.asarray(image).astype(np.float32)
        contrast, before = float(thumbnail.std()), self._before
        self._before = frame, thumbnail, contrast
        if before is None:
            return False
        earlier, earlier_thumbnail, earlier_contrast = before
        usual_contrast = (contrast + earlier_contrast) / 2 + LEAST_CONTRAST
        change = float(np.abs(thumbnail - earlier_thumbnail).mean()) / usual_contrast
        is_cut = self._is_unusual(change) and (change > LARGE_CHANGE or _histograms_differ(earlier, frame))
        if is_cut:
            self._unrest.clear()
        else:
            self._unrest.append(change)
        return is_cut

    def _is_unusual(self, change: float) -> bool:
        usual = sum(self._unrest) / max(len(self._unrest), 1)
        return change > SMALL_CHANGE and change > TIMES_UNREST * usual


def _histograms_differ(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether the histograms of two frames differ."""
    tones = [frame[::4, ::4].ravel() >> 4 for frame in (one, other)]
    first, second = (np.bincount(values, minlength=16) / values.size for values in tones)
    return float(np.abs(first - second).sum()) / 2 > HISTOGRAM_CHANGE
