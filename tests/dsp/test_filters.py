"""Filters along one axis give what those of scipy give, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from avse.dsp.filters import Edge, gaussian_smooth, moving_average, moving_maximum

SCIPY_MODES: dict[Edge, str] = {"symmetric": "reflect", "edge": "nearest", "constant": "constant"}


@pytest.fixture(params=[(np.float32, 3), (np.float64, 200)])
def values(request: pytest.FixtureRequest) -> np.ndarray:
    """Random values (length, 4), also shorter than the filters."""
    dtype, length = request.param
    return np.random.default_rng(0).standard_normal((length, 4)).astype(dtype)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("mode", SCIPY_MODES)
def test_averages_and_smoothing_are_those_of_scipy(values: np.ndarray, axis: int, mode: Edge) -> None:
    beyond = SCIPY_MODES[mode]
    for size in (1, 5, 21):
        ours = moving_average(values, size, axis, mode)
        np.testing.assert_array_equal(ours, ndimage.uniform_filter1d(values, size, axis, mode=beyond))
        assert ours.dtype == values.dtype
    for sigma in (0.7, 3.0):
        ours = gaussian_smooth(values, sigma, axis, mode)
        np.testing.assert_array_equal(ours, ndimage.gaussian_filter1d(values, sigma, axis, mode=beyond))
        assert ours.dtype == values.dtype


@pytest.mark.parametrize("axis", [0, 1])
def test_maxima_are_those_of_scipy(values: np.ndarray, axis: int) -> None:
    np.testing.assert_array_equal(moving_maximum(values, 21, axis), ndimage.maximum_filter1d(values, 21, axis))
