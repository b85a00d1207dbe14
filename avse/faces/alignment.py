"""Aligned crops: squares of fixed size, cut out by a similarity transform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image


def aligned_crop(frame: np.ndarray, centre: np.ndarray, side: float, angle: float, size: int) -> np.ndarray:
    """Cut a square of ``side`` pixels, rotated by ``angle`` (radians), from a frame (H, W) or (H, W, 3): uint8
    (size, size) or (size, size, 3).

    Large squares are averaged down first, not sampled; what lies outside the frame is black.
    """
    factor = int(_reduction(side, size))
    corner = np.floor(centre) - factor * math.ceil(_square_reach(side, angle) / factor + 1)
    opposite = 2 * np.floor(centre) - corner
    part = Image.fromarray(np.ascontiguousarray(frame)).crop((*corner.astype(int), *opposite.astype(int)))
    x, y = (centre - corner) / factor
    step = side / factor / size
    cosine, sine = step * math.cos(angle), step * math.sin(angle)
    left, top = x - size / 2 * (cosine - sine), y - size / 2 * (sine + cosine)
    crop = part.reduce(factor).transform(
        (size, size), Image.Transform.AFFINE, (cosine, -sine, left, sine, cosine, top), Image.Resampling.BILINEAR
    )
    return np.asarray(crop)


def _reduction(side: Any, size: int) -> Any:
    """Return by which whole number a frame is averaged down before squares of ``side`` pixels are cut from it."""
    return np.maximum(np.round(side / size), 1)


def window_reach(side: Any, angle: Any, size: int) -> Any:
    """Return how far from its centre pixels are needed to cut a rotated square, in pixels."""
    return _square_reach(side, angle) + 2 * _reduction(side, size) + 1


def _square_reach(side: Any, angle: Any) -> Any:
    return side / 2 * (np.abs(np.cos(angle)) + np.abs(np.sin(angle)))
