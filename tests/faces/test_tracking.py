"""Boxes linked over time within a shot, and tracks joined to people where that is safe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
import pytest

from avse.faces.reidentification import merge_tracks
from avse.faces.tracking import MAX_DESCRIPTORS, MAX_GAP_FRAMES, Face, FaceTracker, Track, sort_by_area


def made_face(left: float, top: float = 0.0, size: float = 40.0, score: float = 0.9) -> Face:
    return Face(np.array([left, top, left + size, top + size]), np.zeros((5, 2)), score)


def link(found: Iterable[tuple[int, Sequence[Face]]]) -> list[Track]:
    """Detections (frame, faces) of one shot as tracks, largest first."""
    linker = FaceTracker()
    for index, faces in found:
        linker.add(index, faces)
    return sort_by_area(linker.tracks)


def look(person: int, likeness: float = 1.0, seed: int = 0) -> np.ndarray:
    """Somebody's look; two of likeness s correlate with s squared."""
    own = np.random.default_rng(person).standard_normal(4096)
    other = np.random.default_rng((person, seed, 1)).standard_normal(4096)
    mixed = likeness * own + np.sqrt(1 - likeness**2) * other
    return (mixed / np.linalg.norm(mixed)).astype(np.float32)


def made_track(frames: Sequence[int], person: int, left: float = 0.0, likeness: float = 1.0) -> Track:
    track = Track()
    for index in frames:
        track.add(index, made_face(left), partial(look, person, likeness, seed=frames[0]))
    return track


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


@pytest.mark.parametrize(
    ("other", "left", "likeness", "start", "num_people"),
    [
        (1, 0.0, 0.95, 200, 1),  # the same, there again
        (1, 500.0, 0.95, 200, 1),  # the same elsewhere, the only face
        (1, 500.0, 0.95, 5000, 1),
        (1, 0.0, 0.87, 200, 1),  # somewhat alike, but in the same place: 0.76
        (1, 500.0, 0.87, 200, 2),
        (1, 0.0, 0.87, 5000, 2),
        (2, 0.0, 0.95, 200, 2),  # somebody else in the same place
    ],
)
def test_joined_where_it_is_safe(other: int, left: float, likeness: float, start: int, num_people: int) -> None:
    first = made_track(range(0, 100, 5), 1, 0.0, likeness)
    second = made_track(range(start, start + 100, 5), other, left, likeness)
    people = merge_tracks([second, first])
    assert len(people) == num_people
    assert sorted(index for person in people for index in person.frames) == sorted(first.frames + second.frames)
    assert all(person.frames == sorted(person.frames) for person in people)


def test_two_seen_at_once_are_never_one() -> None:
    assert len(merge_tracks([made_track(range(0, 100, 5), 1), made_track(range(50, 150, 5), 1, 300.0)])) == 2


def test_of_two_rivals_neither_is_joined() -> None:
    first = made_track(range(0, 100, 5), 1, 0.0, 0.97)
    twins = [made_track(range(200, 300, 5), 1, left, 0.97) for left in (300.0, 600.0)]
    assert len(merge_tracks([first, *twins])) == 3
    there_again = made_track(range(200, 300, 5), 1, 0.0, 0.97)
    assert len(merge_tracks([first, there_again, twins[1]])) == 2


def test_with_others_around_a_face_elsewhere_must_be_clearer() -> None:
    first = made_track(range(0, 100, 5), 1, 0.0, 0.9)
    second = made_track(range(200, 300, 5), 1, 500.0, 0.9)
    assert len(merge_tracks([first, second])) == 1
    assert len(merge_tracks([first, second, made_track(range(0, 300, 5), 3, 900.0)])) == 3


def test_chain_of_shots_becomes_one_person() -> None:
    shots = [made_track(range(start, start + 90, 5), 1, 37.0 * start, 0.97) for start in range(0, 1000, 100)]
    (person,) = merge_tracks(shots)
    assert len(person.frames) == 180


def test_nothing_to_join() -> None:
    assert merge_tracks([]) == []
    lonely = Track([0], [made_face(0)])
    assert merge_tracks([lonely]) == [lonely]
