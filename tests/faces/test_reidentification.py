"""Re-identification: tracks of one person are merged, and only where that is safe."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from avse.faces.reidentification import merge_tracks
from avse.faces.tracking import Face, Track


def made_face(left: float, top: float = 0.0, size: float = 40.0, score: float = 0.9) -> Face:
    return Face(np.array([left, top, left + size, top + size]), np.zeros((5, 2)), score)


def look(person: int, likeness: float = 1.0, seed: int = 0) -> np.ndarray:
    """Return a face descriptor; two of likeness s correlate with s squared."""
    own = np.random.default_rng(person).standard_normal(4096)
    other = np.random.default_rng((person, seed, 1)).standard_normal(4096)
    mixed = likeness * own + np.sqrt(1 - likeness**2) * other
    return (mixed / np.linalg.norm(mixed)).astype(np.float32)


def made_track(frames: Sequence[int], person: int, left: float = 0.0, likeness: float = 1.0) -> Track:
    track = Track()
    for index in frames:
        track.add(index, made_face(left), partial(look, person, likeness, seed=frames[0]))
    return track


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
