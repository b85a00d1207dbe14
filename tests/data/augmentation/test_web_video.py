"""Mouths as the web shows them: other pixels, the same size, black where they were not seen."""

from __future__ import annotations

import numpy as np
import pytest

from avse.data.augmentation.web_video import compress_blocks, degrade


@pytest.fixture
def mouths() -> np.ndarray:
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(40, 200, (12, 11, 11)), np.ones((8, 8)))
    return smooth.astype(np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_it_changes_what_is_seen_and_nothing_else(mouths: np.ndarray, seed: int) -> None:
    mouths[4:6] = 0
    changed = degrade(mouths, np.random.default_rng(seed))
    assert (changed.shape, changed.dtype) == (mouths.shape, np.uint8)
    assert np.array_equal(changed.any(axis=(1, 2)), mouths.any(axis=(1, 2)))
    assert not np.array_equal(changed, mouths)
    assert np.array_equal(changed, degrade(mouths, np.random.default_rng(seed)))


def test_nothing_seen_stays_nothing() -> None:
    nothing = np.zeros((3, 88, 88), np.uint8)
    assert not degrade(nothing, np.random.default_rng(0)).any()


def test_coarser_steps_leave_less(mouths: np.ndarray) -> None:
    noisy = mouths[..., :88, :88] + np.random.default_rng(1).normal(0, 8, mouths.shape)
    errors = [np.abs(compress_blocks(noisy, step) - noisy).mean() for step in (0.01, 5.0, 40.0)]
    assert errors[0] < 0.1 < errors[1] < errors[2]
