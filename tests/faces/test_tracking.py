"""Bounding boxes are linked to tracks over time, within a shot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from avse.faces.tracking import MAX_DESCRIPTORS, MAX_GAP_FRAMES, Face, FaceTracker, Track, sort_by_area


def made_face(left: float, top: float = 0.0, size: float = 40.0, score: float = 0.9) -> Face:
    return Face(np.array([left, top, left + size, top + size]), np.zeros((5, 2)), score)


def link(found: Iterable[tuple[int, Sequence[Face]]]) -> list[Track]:
    """Detections (frame, faces) of one shot as tracks, largest first."""
    linker = FaceTracker()
    for index, faces in found:
        linker.add(index, faces)
    return sort_by_area(linker.tracks)


def test_two_moving_boxes_are_two_tracks_the_larger_first() -> None:
    found = [(frame, [made_face(frame), made_face(300 - frame, size=60)]) for frame in range(0, 100, 5)]
    large, small = link(found)
    assert large.frames == small.frames == list(range(0, 100, 5))
    assert [face.box[0] for face in large.faces] == [300 - frame for frame in large.frames]
    assert [face.box[0] for face in small.faces] == small.frames


def test_faces_of_one_frame_never_share_a_track() -> None:
    assert len(link([(0, [made_face(0)]), (5, [made_face(0), made_face(2, score=0.6)])])) == 2


@pytest.mark.parametrize(("gap", "num_tracks"), [(5, 1), (MAX_GAP_FRAMES, 1), (MAX_GAP_FRAMES + 5, 2), (500, 2)])
def test_track_survives_a_short_loss_only(gap: int, num_tracks: int) -> None:
    tracks = link([(0, [made_face(0)]), *((frame, []) for frame in range(5, gap, 5)), (gap, [made_face(0)])])
    assert len(tracks) == num_tracks


def test_face_that_jumps_is_another() -> None:
    assert len(link([(0, [made_face(0)]), (5, [made_face(35)])])) == 2
    assert len(link([(0, [made_face(0)]), (5, [made_face(10)])])) == 1


def test_face_that_moves_fast_and_steadily_is_followed() -> None:
    places = [0, 18, 50, 84, 118]  # further than half a face from the second step on
    assert len(link([(5 * k, [made_face(left)]) for k, left in enumerate(places)])) == 1
    assert len(link([(5 * k, [made_face(left)]) for k, left in enumerate([*places[:2], 90])])) == 2


def test_face_whose_size_jumps_is_another() -> None:
    assert len(link([(0, [made_face(0, size=40)]), (5, [made_face(0, size=70)])])) == 1
    assert len(link([(0, [made_face(0, size=40)]), (5, [made_face(0, size=90)])])) == 2


def test_two_that_pass_each_other_keep_their_names() -> None:
    steps = range(0, 11)
    found = [(5 * k, [made_face(12 * k), made_face(120 - 12 * k, top=25)]) for k in steps]
    tops = [{face.box[1] for face in track.faces} for track in link(found)]
    assert sorted(map(len, tops)) == [1, 1]


def test_cut_ends_every_track() -> None:
    linker = FaceTracker()
    linker.add(0, [made_face(0)])
    linker.add(5, [made_face(0)])
    linker.cut(8)
    linker.add(8, [made_face(0)])
    assert [track.frames for track in linker.tracks] == [[0, 5], [8]]


def test_descriptors_of_a_long_track_are_few_and_from_all_its_time() -> None:
    track = Track()
    for k in range(1000):
        track.add(5 * k, made_face(0), lambda k=k: np.array([float(k)], np.float32))
    kept = [float(value[0]) for value in track.descriptors]
    assert MAX_DESCRIPTORS // 2 <= len(kept) <= MAX_DESCRIPTORS
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert np.diff(kept).max() < 300
    assert kept[-1] > 700
