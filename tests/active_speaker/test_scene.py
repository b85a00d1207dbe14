"""The faces of a recording: positions in words, intervals, and the facts about each face."""

from __future__ import annotations

import numpy as np
import pytest
from speaker_facts import made_track

from avse.active_speaker.scene import Scene, intervals, track_centre

LEFT_TO_RIGHT = {
    1: ["centre"],
    2: ["left", "right"],
    3: ["left", "centre", "right"],
    4: ["left", "second from left", "second from right", "right"],
    5: ["left", "second from left", "centre", "second from right", "right"],
}


@pytest.mark.parametrize("places", LEFT_TO_RIGHT.values(), ids=str)
def test_positions_in_words(places: list[str]) -> None:
    order = np.random.default_rng(0).permutation(len(places))
    scene = Scene([made_track(100.0 * place) for place in order])
    assert [scene.place(index) for index in range(len(places))] == [places[place] for place in order]


def test_faces_at_the_same_place_have_different_names() -> None:
    scene = Scene([made_track(50), made_track(50)])
    assert {scene.place(0), scene.place(1)} == {"left", "right"}


def test_a_single_face_has_no_number() -> None:
    assert Scene([made_track(0)]).describe(0) == "Face"
    assert Scene([made_track(200), made_track(0)]).describe(0) == "Face 1 of 2 (right)"


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], []),
        ([0, 0], []),
        ([1, 1, 1], [(0.0, 0.12)]),
        ([0, 1, 0, 1, 1], [(0.04, 0.08), (0.12, 0.2)]),
    ],
)
def test_intervals_in_seconds(flags: list[int], found: list[tuple[float, float]]) -> None:
    assert intervals(np.array(flags, bool)) == found


def test_centre_of_a_track_is_that_of_its_boxes() -> None:
    assert track_centre(made_track(60)).tolist() == [80.0, 20.0]


def test_facts_without_measured_activity() -> None:
    facts = Scene([made_track(10)]).facts(0, 12)
    assert (facts["number"], facts["position"], facts["box_pixels"]) == (1, "centre", [10, 0, 50, 40])
    [(begin, end)] = facts["intervals_seconds"]
    assert begin == 0.0
    assert 0.24 <= end < 0.48
    assert facts["seen_share"] == pytest.approx(end / 0.48, abs=1e-4)
    assert not {key for key in facts if "speech" in key or "correlation" in key}


def test_without_measured_activity_every_face_may_speak() -> None:
    scene = Scene([made_track(0), made_track(100)])
    assert scene.speaking_faces == [0, 1]
    assert scene.speech_intervals(1) == []
    assert scene.target(1).track is scene.tracks[1]
