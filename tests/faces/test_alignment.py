"""Aligned crops: large squares are averaged, and a part of the frame gives the same crop as the whole."""

from __future__ import annotations

import numpy as np
import pytest

from avse.faces.alignment import aligned_crop, window_reach

SIZE = 88


def waves(height: int, width: int, period: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    return np.round(128 + 60 * np.sin(2 * np.pi * x / period) + 60 * np.sin(2 * np.pi * y / period)).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.3, 3.0])
@pytest.mark.parametrize("side", [60.0, 120.0, 176.5, 300.0, 523.7])
@pytest.mark.parametrize("centre", [(350.3, 290.8), (20.0, 580.9), (699.3, 0.7)])
def test_crop_of_a_part_is_the_crop_of_the_frame(centre: tuple[float, float], side: float, angle: float) -> None:
    frame = np.random.default_rng(0).integers(1, 256, (600, 700), dtype=np.uint8)
    middle, reach = np.array(centre), window_reach(side, angle, SIZE)
    low = np.clip(np.floor(middle - reach), 0, None).astype(int)
    high = np.ceil(middle + reach).astype(int)
    part = frame[low[1] : high[1], low[0] : high[0]]
    whole = aligned_crop(frame, middle, side, angle, SIZE)
    np.testing.assert_array_equal(aligned_crop(part, middle - low, side, angle, SIZE), whole)


@pytest.mark.parametrize("angle", [0.0, 0.3, -0.8])
@pytest.mark.parametrize("factor", [1.7, 2.0, 3.4, 5.0])
def test_enlarged_image_gives_the_same_crop(factor: float, angle: float) -> None:
    centre, side, period = np.array([100.3, 99.6]), 88.0, 30.0
    crop = aligned_crop(waves(200, 200, period), centre, side, angle, SIZE)
    size = round(200 * factor)
    large = aligned_crop(waves(size, size, period * factor), factor * centre, factor * side, angle, SIZE)
    assert np.abs(crop.astype(float) - large).max() < 6


def test_colour_is_kept() -> None:
    frame = np.broadcast_to(np.array([10, 120, 250], np.uint8), (500, 500, 3))
    crop = aligned_crop(frame, np.array([250.0, 250.0]), 300.0, 0.2, 64)
    assert crop.shape == (64, 64, 3)
    assert np.abs(crop.astype(int) - frame[0, 0]).max() <= 1
