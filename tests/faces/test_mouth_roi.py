"""Mouths upright, centred and of one size; black where there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from recordings import write_recording

from avse.faces import mouth_roi
from avse.faces.detection import Detector
from avse.faces.face_tracker import track_faces
from avse.faces.tracking import Face, Track
from avse.io import reader

# Landmarks of a face whose mouth is at 0 and whose eyes are 1 apart and 1 above: left and right eye, nose, mouth.
LANDMARKS = np.array([[-0.5, -1.0], [0.5, -1.0], [0.0, -0.5], [-0.3, 0.0], [0.3, 0.0]])


def pattern(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return a smooth image without symmetry, in units of the crop's side."""
    return 128 + 60 * np.sin(7 * u + 2 * v) * np.cos(5 * v) + 50 * u - 20 * v


def drawn(centre: Sequence[float], side: float, angle: float, size: tuple[int, int] = (240, 320)) -> np.ndarray:
    """The pattern turned, scaled and shifted, as a grey frame."""
    y, x = np.indices(size) + 0.5
    x, y = (x - centre[0]) / side, (y - centre[1]) / side
    u, v = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    return np.clip(pattern(u, v), 0, 255).astype(np.uint8)


def upright() -> np.ndarray:
    v, u = (np.indices((88, 88)) + 0.5) / 88 - 0.5
    return np.clip(pattern(u, v), 0, 255)


def made_track(frames: Sequence[int], centres: np.ndarray, size: float = 40.0, angle: float = 0.0) -> Track:
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    marks = [centre + size * LANDMARKS @ turn for centre in centres]
    return Track(list(frames), [Face(np.zeros(4), mark, 0.9) for mark in marks])


@pytest.mark.parametrize("angle", [0.0, 0.3, -0.7, math.pi / 2])
@pytest.mark.parametrize(("centre", "side"), [((160.0, 120.0), 88.0), ((171.3, 99.8), 61.0), ((150.0, 118.5), 130.0)])
def test_drawn_mouth_comes_out_upright_and_centred(centre: tuple[float, float], side: float, angle: float) -> None:
    found = mouth_roi.crop_mouth(drawn(centre, side, angle), np.array(centre), side, angle)
    assert found.shape == (88, 88)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(float) - upright()).mean() < 2


def test_crop_of_a_large_mouth_is_averaged_not_sampled() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (440, 440)).astype(np.uint8)
    found = mouth_roi.crop_mouth(noise, np.array([220.0, 220.0]), 440.0, 0.0)
    averaged = noise.reshape(88, 5, 88, 5).mean((1, 3))
    assert found[2:-2, 2:-2].std() < 1.1 * averaged.std()
    assert abs(found[2:-2, 2:-2].mean() - averaged.mean()) < 1


def test_beyond_the_frame_is_black() -> None:
    found = mouth_roi.crop_mouth(np.full((100, 100), 200, np.uint8), np.array([0.0, 50.0]), 88.0, 0.0)
    assert found[:, :43].max() == 0
    assert found[:, 45:].min() == 200


@pytest.mark.parametrize("angle", [0.0, 0.4, -0.4])
def test_pose_follows_a_moving_face(angle: float) -> None:
    frames = range(0, 61, 5)
    centres = np.array([[100 + 2 * frame, 80 - frame] for frame in frames], float)
    place = mouth_roi.mouth_pose(made_track(frames, centres, size=40.0, angle=angle), num_frames=61)
    expected = np.column_stack([100 + 2 * np.arange(61), 80 - np.arange(61)])
    np.testing.assert_allclose(place.centre[12:-12], expected[12:-12], atol=0.01)
    np.testing.assert_allclose(place.angle, angle, atol=1e-6)
    np.testing.assert_allclose(place.side, 1.4 * 40, atol=1e-6)
    assert place.visible.all()


def test_turned_head_keeps_the_size_of_its_mouth() -> None:
    track = made_track([0], np.array([[100.0, 100.0]]))
    track.faces[0].landmarks[:, 0] = 100 + 0.2 * (track.faces[0].landmarks[:, 0] - 100)  # seen from the side
    assert mouth_roi.mouth_pose(track, 1).side[0] == pytest.approx(1.4 * 40)


def test_angle_passes_through_half_a_turn_without_a_jump() -> None:
    marks = [40 * LANDMARKS @ np.array([[math.cos(a), math.sin(a)], [-math.sin(a), math.cos(a)]]) for a in (3.0, 3.3)]
    track = Track([0, 5], [Face(np.zeros(4), mark, 0.9) for mark in marks])
    assert np.abs(np.diff(mouth_roi.mouth_pose(track, 6).angle)).max() < 0.1


def test_mouth_is_seen_near_its_detections_only() -> None:
    seen = mouth_roi.mouth_pose(made_track([10, 15, 20, 60, 65], np.full((5, 2), 50.0)), num_frames=100).visible
    assert not seen[:6].any()
    assert seen[6:25].all()
    assert not seen[25:56].any()
    assert seen[56:70].all()
    assert not seen[70:].any()


@pytest.mark.parametrize(
    ("still", "unseen"),
    [
        (range(3, 8), range(11, 36)),  # five detections in which nothing had moved since frame 10
        (range(3, 7), ()),  # four: a mouth may rest for so long
        (range(4, 21), range(16, 105)),  # until the end, and beyond the last detection
        (range(1, 21), range(105)),  # a video that never moves
    ],
)
def test_a_frozen_face_is_not_visible(still: Sequence[int], unseen: Sequence[int]) -> None:
    track = made_track(range(0, 101, 5), np.full((21, 2), 50.0))
    track.faces = [replace(face, still=k in still) for k, face in enumerate(track.faces)]
    assert np.flatnonzero(~mouth_roi.mouth_pose(track, num_frames=105).visible).tolist() == list(unseen)


def test_pose_jumps_at_a_cut_and_is_not_seen_across_it() -> None:
    centres = np.array([[50.0, 50.0]] * 3 + [[200.0, 90.0]] * 3)
    track = made_track([0, 5, 10, 13, 15, 20], centres)
    track.cuts = [13]
    place = mouth_roi.mouth_pose(track, num_frames=21)
    np.testing.assert_allclose(place.centre[:13], 50.0)
    np.testing.assert_allclose(place.centre[13:], [[200.0, 90.0]] * 8)
    assert place.visible.all()
    track.cuts = [11, 13]  # a shot of two frames without a face
    assert np.flatnonzero(~mouth_roi.mouth_pose(track, num_frames=21).visible).tolist() == [11, 12]


def test_crops_of_several_are_those_of_each(clip: Path) -> None:
    recording = reader.probe(clip)
    tracks = [made_track([5, 10], np.full((2, 2), 150.0)), made_track(range(0, 30, 5), np.full((6, 2), 120.0))]
    together = np.concatenate(list(mouth_roi.crop_tracks(recording, tracks, num_frames=40)))
    assert together.shape == (40, 2, 88, 88)
    for k, track in enumerate(tracks):
        alone = np.concatenate(list(mouth_roi.crop_track(recording, track, num_frames=40)))
        np.testing.assert_allclose(together[:, k].astype(int), alone, atol=1)


def test_crops_of_drawn_frames_are_all_the_same_mouth(tmp_path: Path) -> None:
    centres = np.array([[150 + frame, 110 + 0.5 * frame] for frame in range(20)], float)
    frames = np.stack([drawn(centre.tolist(), 1.4 * 40, 0.2) for centre in centres])
    recording = reader.probe(write_recording(tmp_path / "a.mkv", None, frames, "-c:v", "ffv1", "-pix_fmt", "gray"))
    mouths = np.concatenate(
        list(mouth_roi.crop_track(recording, made_track(range(20), centres, 40.0, 0.2), num_frames=20))
    )
    assert mouths.shape == (20, 88, 88)
    for mouth in mouths[8:-8]:
        assert np.abs(mouth.astype(float) - upright()).mean() < 2


def test_crops_of_a_talking_head_are_steadier_than_the_head(clip: Path, detector: Detector) -> None:
    recording = reader.probe(clip)
    (track,) = track_faces(recording, detector)
    place = mouth_roi.mouth_pose(track, 32)
    followed = np.concatenate(list(mouth_roi.crop_track(recording, track, 32))).astype(float)
    fixed = np.stack(
        [mouth_roi.crop_mouth(f, place.centre[0], place.side[0], place.angle[0]) for f in reader.read_frames(recording)]
    )

    def unrest(mouths: np.ndarray) -> float:
        """Change since the first frame between nose and upper lip, where speech moves little."""
        return float(np.abs(mouths[:, :25].astype(float) - mouths[0, :25]).mean())

    assert unrest(followed) < 0.7 * unrest(fixed)
    assert followed[:, 35:65, 25:63].std(axis=0).max() > 20  # the mouth itself moves


def test_frames_without_the_face_are_black(clip: Path) -> None:
    recording = reader.probe(clip)
    track = made_track([5, 10], np.full((2, 2), 150.0))
    mouths = np.concatenate(list(mouth_roi.crop_track(recording, track, num_frames=40)))
    assert np.flatnonzero(mouth_roi.visible(mouths)).tolist() == list(range(1, 15))
    assert len(mouths) == 40


def test_video_that_ends_early_continues_black(clip: Path) -> None:
    track = made_track(range(0, 60, 5), np.full((12, 2), 150.0))
    mouths = np.concatenate(list(mouth_roi.crop_track(reader.probe(clip), track, num_frames=50)))
    assert np.flatnonzero(mouth_roi.visible(mouths)).tolist() == list(range(32))


def test_face_that_comes_after_the_last_frame_is_never_seen(clip: Path) -> None:
    mouths = np.concatenate(
        list(mouth_roi.crop_track(reader.probe(clip), made_track([30], np.full((1, 2), 150.0)), num_frames=10))
    )
    assert mouths.shape == (10, 88, 88)
    assert not mouth_roi.visible(mouths).any()
