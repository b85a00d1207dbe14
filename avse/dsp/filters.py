"""Moving average, moving maximum and Gaussian smoothing along one axis, as in `scipy.ndimage`.

The results are the same, to the bit. Importing `scipy.ndimage` would add a fifth of a second to every start.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Edge = Literal["symmetric", "edge", "constant"]
"""Values beyond the ends: mirrored values, the last value, or zero (the names of `numpy.pad`)."""


def moving_average(values: np.ndarray, size: int, axis: int = -1, mode: Edge = "symmetric") -> np.ndarray:
    """Average ``size`` values, an odd number, around each (`scipy.ndimage.uniform_filter1d`)."""
    padded = _padded(values, size // 2, axis, mode)
    first, steps = np.add.accumulate(padded[:size])[-1:], padded[size:] - padded[:-size]
    return _restored(np.add.accumulate(np.concatenate([first, steps])) / size, values, axis)


def moving_maximum(values: np.ndarray, size: int, axis: int = -1) -> np.ndarray:
    """Take the maximum of ``size`` values, an odd number, around each (`scipy.ndimage.maximum_filter1d`)."""
    padded = _padded(values, size // 2, axis, "symmetric")
    return _restored(np.lib.stride_tricks.sliding_window_view(padded, size, axis=0).max(-1), values, axis)


def gaussian_smooth(values: np.ndarray, sigma: float, axis: int = -1, mode: Edge = "symmetric") -> np.ndarray:
    """Smooth by a Gaussian that ends at 4 ``sigma`` (`scipy.ndimage.gaussian_filter1d`)."""
    radius = int(4 * sigma + 0.5)
    weights = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    padded = _padded(values, radius, axis, mode)
    length = len(padded) - 2 * radius
    total = weights[radius] * padded[radius : radius + length]
    for k in range(radius):
        mirrored = 2 * radius - k
        total += weights[k] * (padded[k : k + length] + padded[mirrored : mirrored + length])
    return _restored(total, values, axis)


def _padded(values: np.ndarray, width: int, axis: int, mode: Edge) -> np.ndarray:
    """Return the values in double precision, the axis first, padded by ``width`` at both ends of it."""
    first = np.moveaxis(values, axis, 0).astype(np.float64)
    return np.pad(first, [(width, width), *[(0, 0)] * (first.ndim - 1)], mode)


def _restored(filtered: np.ndarray, values: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(filtered, 0, axis).astype(values.dtype)
