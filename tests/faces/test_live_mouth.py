"""A face followed live: crops as of the whole recording, after cuts the same person, and no growing memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avse.faces import face_tracker, mouth_roi
from avse.faces.detection import Detector
from avse.faces.live_mouth import HISTORY, LiveMouth, grey_and_small
from avse.faces.live_mouths import LiveMouths
from avse.faces.tracking import Face
from avse.io import reader


def face_at(x: float, side: float = 40) -> Face:
    box = np.array([x - side / 2, 60 - side / 2, x + side / 2, 60 + side / 2])
    marks = box[:2] + side * np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    return Face(box, marks, 0.9)


class Scene:
    """Frames of noise that change, and the faces that a detector would find on them."""

    def __init__(self) -> None:
        self.faces: list[Face] = []
        self._rng = np.random.default_rng(0)

    def frame(self, brightness: int = 0) -> np.ndarray:
        return (self._rng.integers(60, 120, (120, 200)) + brightness).astype(np.uint8)

    def detect(self, frame: np.ndarray) -> list[Face]:
        return self.faces


def centres(mouth: LiveMouth) -> float:
    assert mouth._target is not None
    return float(mouth._target.track.faces[-1].box[[0, 2]].mean())


def test_crops_are_those_of_the_whole_recording(clip: Path, detector: Detector) -> None:
    recording = reader.probe(clip)
    frames = list(reader.read_frames(recording))
    (track, *_) = face_tracker.track_faces(recording, detector)
    whole = np.concatenate(list(mouth_roi.crop_track(recording, track, len(frames))))
    mouth = LiveMouth(detect=detector)
    live = np.concatenate([*map(mouth.push, frames), mouth.flush()])
    assert live.shape == whole.shape
    assert np.abs(live.astype(float) - whole).mean() < 0.05 * whole.std()


def test_crops_wait_for_the_next_detection_and_no_longer() -> None:
    scene, mouth = Scene(), LiveMouth(phase=3)
    mouth._detect = scene.detect
    scene.faces = [face_at(100)]
    assert [len(mouth.push(scene.frame())) for _ in range(14)] == [1, 0, 0, 3, 0, 0, 0, 0, 5, 0, 0, 0, 0, 5]


def test_face_is_chosen_by_its_place_and_kept_when_a_larger_one_comes() -> None:
    for choice, expected in (("left", 50), ("right", 150), ("largest", 150)):
        scene = Scene()
        mouth = LiveMouth(choice, detect=scene.detect)  # type: ignore[arg-type]
        scene.faces = [face_at(50, 30), face_at(150, 36)]
        for _ in range(30):
            mouth.push(scene.frame())
        scene.faces = [*scene.faces, face_at(100, 48)]
        for _ in range(30):
            mouth.push(scene.frame())
        assert centres(mouth) == expected


def test_nobody_seen_is_black_and_the_face_is_taken_up_again_after_a_gap() -> None:
    scene = Scene()
    mouth = LiveMouth(detect=scene.detect)
    seen = []
    for index in range(60):
        scene.faces = [face_at(100)] if not 25 <= index < 45 else []
        seen.append(mouth.push(scene.frame()))
    visible = np.concatenate(seen).any(axis=(1, 2))
    assert visible[:25].all()
    assert not visible[30:41].any()
    assert visible[45:].all()


@pytest.mark.parametrize("first", [18, 19, 20])
def test_frames_before_a_cut_keep_the_position_of_their_own(first: int) -> None:
    scene = Scene()
    mouth, crops = LiveMouth(detect=scene.detect), []
    frames = [scene.frame() for _ in range(30)]
    for index, frame in enumerate(frames):
        scene.faces = [face_at(60 + index)]
        crops.append(mouth.add(*grey_and_small(frame), index == first))
    uncut = LiveMouth(detect=scene.detect)
    for index, frame in enumerate(frames[:first]):
        scene.faces = [face_at(60 + index)]
        uncut.add(*grey_and_small(frame), False)
    found = np.concatenate([*crops, mouth.flush()])
    assert len(found) == 30
    assert found.any(axis=(1, 2)).all()
    pending = uncut.flush()
    assert np.array_equal(found[first - len(pending) : first], pending)


def test_same_face_is_followed_after_a_cut_away(clip: Path, detector: Detector) -> None:
    frames = list(reader.read_frames(reader.probe(clip)))
    away = [np.random.default_rng(k).integers(0, 255, frames[0].shape).astype(np.uint8) for k in range(15)]
    mouth = LiveMouth(detect=detector)
    shown = np.concatenate([*map(mouth.push, [*frames, *away, *frames]), mouth.flush()]).any(axis=(1, 2))
    assert shown[: len(frames)].all()
    assert not shown[len(frames) : len(frames) + 15].any()
    assert shown[len(frames) + 15 :].all()


def test_memory_does_not_grow() -> None:
    scene = Scene()
    mouth = LiveMouth(detect=scene.detect)
    for index in range(1200):
        scene.faces = [face_at(60 + 80 * (index % 200 > 100))]
        mouth.push(scene.frame(60 * (index % 100 > 50)))
    tracker = mouth._tracker
    assert len(tracker.tracks) <= 4
    assert len(tracker.cuts) < 30
    assert all(len(track.frames) <= HISTORY for track in tracker.tracks)


def test_several_faces_are_followed_with_one_detection() -> None:
    scene, asked = Scene(), []

    def detect(frame: np.ndarray) -> list[Face]:
        asked.append(frame)
        return scene.faces

    mouths = LiveMouths([0, 1, 2], detect=detect)
    scene.faces = [face_at(50, 30), face_at(150, 36)]
    crops = np.concatenate([*(mouths.push(scene.frame()) for _ in range(30)), mouths.flush()])
    assert crops.shape == (30, 3, 88, 88)
    assert len(asked) == 6
    assert [centres(mouth) for mouth in mouths._mouths[:2]] == [150, 50]
    assert crops.any(axis=(0, 2, 3)).tolist() == [True, True, False]
    mouths.keep(1)
    assert np.concatenate([mouths.push(scene.frame()) for _ in range(6)]).shape[1:] == (1, 88, 88)
