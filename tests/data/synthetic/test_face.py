"""Synthetic talking heads: the same for the same seed, found by the detector."""

from __future__ import annotations

import numpy as np
import pytest

from avse.data.synthetic.face import talking_head
from avse.errors import UsageError
from avse.faces.detection import Detector


def test_frames_are_the_same_for_the_same_seed_and_move_with_another() -> None:
    opening = np.linspace(0, 1, 4, dtype=np.float32)
    first, again, other = (np.stack(list(talking_head(opening, (96, 128), seed))) for seed in (0, 0, 1))
    assert first.shape == (4, 96, 128, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 1


def test_open_mouth_is_dark_inside_and_leaves_the_eyes_alone() -> None:
    closed, wide = (next(talking_head(np.array([degree], np.float32))).astype(int) for degree in (0, 1))
    marks = Detector(num_threads=1)(wide.mean(axis=2).astype(np.uint8))[0].landmarks
    column, row = marks[3:].mean(axis=0).round().astype(int)
    below_teeth = slice(row + 5, row + 12), slice(column - 4, column + 5)
    assert wide[below_teeth].mean() < 0.6 * closed[below_teeth].mean()
    eyes_and_hair = slice(0, int(marks[2, 1]) - 10)
    np.testing.assert_array_equal(wide[eyes_and_hair], closed[eyes_and_hair])


def test_head_does_not_jump_between_frames() -> None:
    frames = np.stack(list(talking_head(np.full(25, 0.5, np.float32), (120, 160)))).astype(int)
    assert np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).max() < 4


@pytest.mark.parametrize("size", [(240, 320), (144, 144), (480, 640)])
def test_face_is_found_upright_at_every_size(size: tuple[int, int]) -> None:
    detect = Detector(num_threads=1)
    for frame in talking_head(np.linspace(0, 1, 5, dtype=np.float32), size):
        (face,) = detect(frame.mean(axis=2).astype(np.uint8))
        assert face.score > 0.8
        left_eye, right_eye, _, left_mouth, right_mouth = face.landmarks
        assert left_eye[0] < right_eye[0]
        assert left_mouth[1] > left_eye[1]
        assert right_mouth[1] > right_eye[1]


@pytest.mark.parametrize("opening", [[1.2], [-0.1], [[0.5]], [float("nan")]])
def test_impossible_opening_is_refused(opening: list[float]) -> None:
    with pytest.raises(UsageError, match="opening"):
        next(talking_head(np.array(opening, np.float32)))


def test_portrait_is_refused() -> None:
    with pytest.raises(UsageError, match="120x240"):
        next(talking_head(np.zeros(1, np.float32), (240, 120)))
