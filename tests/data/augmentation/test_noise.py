"""Noise augmentation: bursts."""

from __future__ import annotations

import numpy as np
import pytest

from avse.config import SAMPLE_RATE
from avse.data.augmentation.noise import cut_bursts


@pytest.mark.parametrize("seed", range(5))
def test_bursts_are_loud_for_a_short_time_and_never_louder_than_the_noise(seed: int) -> None:
    noise = np.random.default_rng(9).standard_normal(5 * SAMPLE_RATE).astype(np.float32)
    bursts = cut_bursts(noise, np.random.default_rng(seed))
    assert (bursts.dtype, bursts.shape) == (np.float32, noise.shape)
    assert (np.abs(bursts) <= np.abs(noise)).all()
    level = np.sqrt(np.square(bursts).reshape(-1, 160).mean(1))
    assert level.max() > 0.1
    assert np.median(level) < 0.3 * level.max()


def test_the_shortest_noise_and_the_same_seed() -> None:
    noise = np.ones(3, np.float32)
    first, second = (cut_bursts(noise, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
