"""Mouth motion counts what the mouth does, not what the head, the camera or the light does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, shift

from avse.active_speaker.mouth_motion import mouth_change

SIDE, NUM_FRAMES = 88, 10


def face_image() -> np.ndarray:
    return 128 + 400 * gaussian_filter(np.random.default_rng(0).standard_normal((SIDE, SIDE)), 5)


def change_of(frames: list[np.ndarray], visible: torch.Tensor | None = None) -> np.ndarray:
    mouths = torch.tensor(np.stack(frames))[None]
    visible = torch.ones(1, len(frames), dtype=torch.bool) if visible is None else visible
    return mouth_change(mouths, visible)[:, 0].numpy()


def opening_mouth() -> list[np.ndarray]:
    image, rows = face_image(), np.arange(SIDE)[:, None] - SIDE / 2
    return [image - 60 * np.exp(-((rows / (4 + 10 * (frame % 2))) ** 2)) for frame in range(NUM_FRAMES)]


def test_a_resting_mouth_does_not_change() -> None:
    assert change_of([face_image()] * NUM_FRAMES) == pytest.approx(np.zeros(NUM_FRAMES), abs=1e-6)


@pytest.mark.parametrize("offset", [(0.8, 0.0), (0.0, 0.8), (0.5, -0.5)])
def test_head_motion_counts_less_than_mouth_motion(offset: tuple[float, float]) -> None:
    image = face_image()
    nodding = [shift(image, np.array(offset) * (frame % 2), order=3, mode="nearest") for frame in range(NUM_FRAMES)]
    assert change_of(nodding)[1:].max() < 0.25 * change_of(opening_mouth())[1:].min()


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0.0), (1.0, 40.0), (1.5, -30.0)])
def test_light_and_contrast_do_not_count(gain: float, offset: float) -> None:
    plain = change_of(opening_mouth())
    assert change_of([gain * frame + offset for frame in opening_mouth()]) == pytest.approx(plain, rel=0.1)


def test_frames_at_a_gap_do_not_count() -> None:
    visible = torch.ones(1, NUM_FRAMES, dtype=torch.bool)
    visible[0, 4] = False
    change = change_of(opening_mouth(), visible)
    assert (change == 0).nonzero()[0].tolist() == [0, 4, 5]


def test_each_face_has_its_own_column() -> None:
    mouths = torch.tensor(np.stack([np.stack(opening_mouth()), np.stack([face_image()] * NUM_FRAMES)]))
    change = mouth_change(mouths, torch.ones(2, NUM_FRAMES, dtype=torch.bool))
    assert change.shape == (NUM_FRAMES, 2)
    assert change[1:, 0].min() > 0.01 > change[:, 1].max()


def test_crops_of_half_the_size_give_the_same() -> None:
    large = torch.tensor(np.stack(opening_mouth()))[None]
    small = torch.nn.functional.avg_pool2d(large, 2)
    visible = torch.ones(1, NUM_FRAMES, dtype=torch.bool)
    assert torch.allclose(mouth_change(small, visible), mouth_change(large, visible), atol=1e-5)
