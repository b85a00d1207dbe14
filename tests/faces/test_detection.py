"""The face detector: boxes and landmarks of drawn heads in frames of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import ffmpeg

from avse.faces.detection import Detector
from avse.faces.face_tracker import track_faces
from avse.io import reader


@pytest.fixture(scope="module")
def head(clip: Path) -> np.ndarray:
    """First frame of the talking head, (240, 320)."""
    return np.array(next(iter(reader.read_frames(reader.probe(clip)))))


def test_one_head_is_found_once_with_its_landmarks_in_order(detector: Detector, head: np.ndarray) -> None:
    (face,) = detector(head)
    assert face.score > 0.8
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert np.all(face.box[:2] < face.landmarks.min(0))
    assert np.all(face.landmarks.max(0) < face.box[2:])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (64, 160), (133, 71)])
def test_landmarks_move_with_the_head(detector: Detector, head: np.ndarray, row: int, column: int) -> None:
    canvas = np.full((400, 500), head.mean(), np.uint8)
    canvas[row : row + 240, column : column + 320] = head
    (face,), (moved,) = detector(head), detector(canvas)
    np.testing.assert_allclose(moved.landmarks - (column, row), face.landmarks, atol=6)


def test_two_heads_are_two_faces(detector: Detector, head: np.ndarray) -> None:
    small = np.asarray(Image.fromarray(head).resize((160, 120)))
    faces = detector(np.hstack([head, np.pad(small, ((60, 60), (0, 0)), mode="edge")]))
    widths = [face.box[2] - face.box[0] for face in sorted(faces, key=lambda face: face.box[0])]
    assert len(widths) == 2
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.25)


def test_nothing_is_found_in_noise_or_darkness(detector: Detector) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320)).astype(np.uint8)
    assert detector(noise) == []
    assert detector(np.zeros((240, 320), np.uint8)) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (33, 47), (95, 111), (131, 100)])
def test_frame_of_any_size_is_searched(detector: Detector, head: np.ndarray, size: tuple[int, int]) -> None:
    faces = detector(np.asarray(Image.fromarray(head).resize(size[::-1])))
    assert len(faces) == (1 if min(size) > 90 else 0)


def test_large_frame_is_searched_downscaled_with_boxes_in_its_own_pixels(
    detector: Detector, clip: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.mp4"
    # displayed as 960 x 720 from 480 x 720 pixels that are twice as wide as high
    ffmpeg("-i", clip, "-vf", "scale=480:720,setsar=2", "-frames:v", "6", "-preset", "ultrafast", large)
    ((first,), (second,)) = (track_faces(reader.probe(path), detector, num_frames=6) for path in (clip, large))
    assert first.frames == second.frames == [0, 5]
    np.testing.assert_allclose(second.faces[0].landmarks.mean(0) / 3, first.faces[0].landmarks.mean(0), atol=4)
