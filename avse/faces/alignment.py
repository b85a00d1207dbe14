"""Aligned crops: squares of fixed size, cut out by a similarity transform."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image


def aligned_crop(frame: np.ndarray, centre: np.ndarray, side: float, angle: float, size: int) -> np.ndarray:
    """Cut a square of ``side`` pixels, rotated by ``angle`` (radians), from a frame (H, W) or (H, W, 3): uint8
    (size, size) or (size, size, 3).

    Large squares are averaged down, not sampled; what lies outside the frame is black.
    """
    fine = max(1, math.ceil(side / size))
    step = side / (size * fine)
    cosine, sine = step * math.cos(angle), step * math.sin(angle)
    half = size * fine / 2
    left, top = centre[0] - half * cosine + half * sine, centre[1] - half * sine - half * cosine
    image = Image.fromarray(np.ascontiguousarray(frame)).transform(
        (size * fine, size * fine),
        Image.Transform.AFFINE,
        (cosine, -sine, left, sine, cosine, top),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(image.reduce(fine) if fine > 1 else image)
