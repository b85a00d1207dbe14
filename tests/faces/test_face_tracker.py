"""Faces found where there are some, and followed through recordings with cuts and losses."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image
from recordings import ffmpeg, write_recording

from avse.active_speaker.selection import relevant_tracks
from avse.faces import mouth_roi
from avse.faces.detection import Detector
from avse.faces.face_tracker import track_faces
from avse.faces.freeze_detection import changed_pixels, is_frozen
from avse.faces.shot_detection import ShotDetector
from avse.faces.tracking import DETECT_EVERY, Face
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


def test_every_fifth_frame_is_searched_and_reported(detector: Detector, clip: Path) -> None:
    reported: list[int] = []
    (track,) = track_faces(reader.probe(clip), detector, reported.append)
    assert reported == track.frames == list(range(0, 32, DETECT_EVERY))


def test_detector_that_fails_ends_the_tracking(clip: Path) -> None:
    """Though it runs in a thread of its own."""

    def fail(frame: np.ndarray) -> list[Face]:
        raise MemoryError("no room for the detector")

    with pytest.raises(MemoryError, match="no room"):
        track_faces(reader.probe(clip), cast(Detector, fail))


def test_no_video_has_no_faces(detector: Detector, tmp_path: Path) -> None:
    assert track_faces(reader.probe(write_recording(tmp_path / "a.wav", np.zeros(1600))), detector) == []


def glued(clip: Path, *pieces: tuple[str, int], path: Path) -> Path:
    """The talking head again and again: each piece a filter of ffmpeg over it, and how many frames it lasts."""
    chains = [f"[0:v]{chain},trim=end_frame={length},setpts=N/25/TB[p{k}]" for k, (chain, length) in enumerate(pieces)]
    joined = "".join(f"[p{k}]" for k in range(len(pieces))) + f"concat=n={len(pieces)}[out]"
    ffmpeg("-stream_loop", "20", "-i", clip, "-filter_complex", ";".join([*chains, joined]), "-map", "[out]", path)
    return path


BLACK = "drawbox=color=black:t=fill"
ZOOMED = "scale=480:360,crop=320:240:100:20"


def test_same_head_after_a_cut_is_one_person_and_its_shots_are_apart(
    detector: Detector, clip: Path, tmp_path: Path
) -> None:
    recording = glued(clip, ("null", 32), (ZOOMED, 33), path=tmp_path / "cut.mp4")
    (track,) = track_faces(reader.probe(recording), detector)
    assert list(track.cuts) == [32]
    assert 32 in track.frames  # the first frame of a shot is searched
    assert [track.frames[part][0] for part in track.stretches()] == [0, 32]


def test_head_comes_back_after_a_cutaway(detector: Detector, clip: Path, tmp_path: Path) -> None:
    recording = glued(clip, ("null", 30), (BLACK, 40), ("null", 30), path=tmp_path / "away.mp4")
    (track,) = track_faces(reader.probe(recording), detector)
    assert list(track.cuts) == [30, 70]
    assert {index for index in track.frames if 30 <= index < 70} == set()
    assert track.frames[-1] == 95


def test_movement_and_noise_are_no_cut(clip: Path) -> None:
    is_cut = ShotDetector()
    rng = np.random.default_rng(0)
    frames = [frame.astype(int) for frame in reader.read_frames(reader.probe(clip))]
    moved = [np.roll(frame, 6 * k, 1) + rng.normal(0, 12, frame.shape) for k, frame in enumerate(frames)]
    assert not any(is_cut(np.clip(frame, 0, 255).astype(np.uint8)) for frame in moved)


def test_fade_is_no_cut_and_a_cut_in_the_dark_is_one() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 16)).repeat(20, 0).repeat(20, 1).astype(np.uint8)
    is_cut = ShotDetector()
    assert not any(is_cut((picture * level).astype(np.uint8)) for level in np.linspace(1, 0.2, 25))
    assert is_cut((picture[::-1, ::-1] * 0.2).astype(np.uint8))


def test_before_a_late_video_no_face_is_visible(detector: Detector, clip: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.mkv"
    ffmpeg("-itsoffset", "0.48", "-i", clip, "-i", clip, "-map", "0:v", "-map", "1:a", "-c", "copy", late)
    recording = reader.probe(late)
    (track,) = track_faces(recording, detector)
    assert reader.first_video_frame(recording) == 12
    assert track.frames[:3] == [12, 15, 20]
    mouths = np.concatenate(list(mouth_roi.crop_track(recording, track, 32)))
    assert not mouth_roi.visible(mouths)[: 12 - DETECT_EVERY + 1].any()
    assert mouth_roi.visible(mouths)[12:].all()


def test_a_face_beyond_the_edge_is_compared_with_what_is_there() -> None:
    face = Face(np.array([-30.0, 90.0, 400.0, 200.0]), np.zeros((5, 2)), 0.9)
    frame = np.full((100, 200), 7, np.uint8)
    assert is_frozen(face, changed_pixels(frame, frame + 2))
    assert not is_frozen(face, changed_pixels(frame, frame + 3))
    assert not is_frozen(face, changed_pixels(None, frame))


def test_a_face_at_rest_is_frozen_only_where_the_whole_frame_is() -> None:
    face = Face(np.array([20.0, 36.0, 44.0, 60.0]), np.zeros((5, 2)), 0.9)
    frame = np.full((100, 200), 7, np.uint8)
    elsewhere, mouth = frame.copy(), frame.copy()
    elsewhere[80:84, 150:160] += 9  # 0.2 % of the picture
    mouth[50:56, 30:36] += 9  # less of the picture, but more of the face
    assert not is_frozen(face, changed_pixels(frame, elsewhere))
    assert not is_frozen(face, changed_pixels(frame, mouth))


def test_frozen_video_shows_no_face(detector: Detector, clip: Path, tmp_path: Path) -> None:
    """Coded anew, as a recorded call is: after the first looks hardly a grey level changes."""
    hung, still = tmp_path / "hung.mp4", tmp_path / "still.mp4"
    ffmpeg("-i", clip, "-vf", "loop=loop=50:size=1:start=12,setpts=N/25/TB", "-an", "-crf", "30", hung)
    ffmpeg("-i", clip, "-vf", "trim=end_frame=1,loop=loop=59:size=1,setpts=N/25/TB", "-an", "-crf", "30", still)
    (track,) = track_faces(reader.probe(hung), detector)
    seen = mouth_roi.mouth_pose(track, 82).visible
    assert seen[:13].all()
    assert not seen[25:60].any()
    assert seen[66:].all()
    (photograph,) = track_faces(reader.probe(still), detector)
    assert not mouth_roi.mouth_pose(photograph, 60).visible[10:].any()
    assert (relevant_tracks([track], 82), relevant_tracks([photograph], 60)) == ([track], [])
