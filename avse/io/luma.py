"""Luma as stored in a video: usually black is 16 and white 235. Only the pixels that are used are stretched to 0..255.

ffmpeg's conversion to grey does the same to whole frames, and takes as long as decoding them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_STRETCHED = np.clip(np.floor((np.arange(256) - 16) * 255 / 219 + 0.5), 0, 255).astype(np.uint8)
"""The grey level of each stored value, as ffmpeg rounds it."""
_LIMITED = re.compile(r", (yuv4\d\dp|nv12|nv21)(\((?!pc\b)[^)]*\))?(,|$)")
"""ffmpeg's description of 8-bit videos with a separate luma plane of limited range (not pc)."""


@dataclass(frozen=True)
class Luma:
    """Hold the luma (H, W) of a frame, uint8, as it is stored: in the limited range 16 to 235, or as grey levels."""

    stored: np.ndarray
    is_limited: bool = False

    def window(self, left: int, top: int, right: int, bottom: int) -> np.ndarray:
        """Return the grey levels, 0 to 255, of a part of the frame."""
        pixels = self.stored[top:bottom, left:right]
        return _STRETCHED.take(pixels, mode="clip") if self.is_limited else pixels

    def grey(self) -> np.ndarray:
        """Return the grey levels of the whole frame."""
        height, width = self.stored.shape
        return self.window(0, 0, width, height)


def has_limited_luma(description: str) -> bool:
    """Return whether frames can be read as `Luma` of limited range, by ffmpeg's description of the video track."""
    return _LIMITED.search(description) is not None
