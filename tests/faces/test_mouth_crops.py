"""Mouths cropped while the frames go by are those that are cropped when all is known, and few frames wait for that."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import avse
from avse.errors import MissingError
from avse.faces import mouth_crops, mouth_roi
from avse.faces.mouth_cropper import MouthCropper, crop_known
from avse.faces.mouth_crops import MouthCrops
from avse.faces.reidentification import merge_tracks
from avse.faces.tracking import DETECT_EVERY, MAX_GAP_FRAMES, Face, FaceTracker, Track
from avse.io import reader
from avse.io.luma import Luma

NUM_FRAMES = 130
LANDMARKS = np.array([[-0.5, -1.0], [0.5, -1.0], [0.0, -0.5], [-0.3, 0.0], [0.3, 0.0]])
MOST_WAITING = MAX_GAP_FRAMES + mouth_roi.SMOOTH_REACH + DETECT_EVERY
Seen = Callable[[int], "float | None"]


def frames(num_frames: int = NUM_FRAMES) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (num_frames, 120, 200), dtype=np.uint8)


def face(x: float, index: int) -> Face:
    """A face that rolls slowly."""
    angle = 0.3 * np.sin(index / 9)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    marks = np.array([x, 60.0]) + 24 * LANDMARKS @ turn
    return Face(np.array([x - 25, 20, x + 25, 80]), marks, 0.9)


def followed(
    people: Sequence[Seen], cuts: Sequence[int] = (), side: int = 88, first: int = 0
) -> tuple[list[Track], MouthCrops, int]:
    """Track synthetic faces, crop them on the way, and return how many frames waited at most."""
    tracker, crops, waiting = FaceTracker(), MouthCrops(side), 0
    cropper = MouthCropper(tracker, crops)
    for index, frame in enumerate(frames()):
        if index in cuts:
            tracker.cut(index)
        if index in cuts or index == first or (index > first and index % DETECT_EVERY == 0):
            shown = [(k, x) for k, where in enumerate(people) if (x := where(index)) is not None]
            looks = [partial(np.eye(8).__getitem__, k) for k, _ in shown]
            tracker.add(index, [face(x, index) for _, x in shown], looks)
        cropper.push(Luma(frame))
        cropper.update()
        waiting = max(waiting, cropper.num_waiting)
    cropper.finish()
    return merge_tracks(tracker.tracks), crops, waiting


def cropped_afterwards(track: Track) -> np.ndarray:
    place, found = mouth_roi.mouth_pose(track, NUM_FRAMES), np.zeros((NUM_FRAMES, 88, 88), np.uint8)
    for k in np.flatnonzero(place.visible):
        found[k] = mouth_roi.crop_mouth(frames()[k], place.centre[k], place.side[k], place.angle[k])
    return found


def steady(index: int) -> float:
    return 60 + 0.4 * index


def with_gap(index: int) -> float | None:
    return None if 40 < index < 64 else 150 - 0.2 * index


def comes_late(index: int) -> float | None:
    return None if index < 73 or index > 112 else 140.0


def leaps(index: int) -> float:
    return 40.0 if index < 62 else 150.0


@pytest.mark.parametrize(
    ("people", "cuts", "first", "most"),
    [
        ([steady], (), 0, 18),
        ([steady], (), 33, 18),
        ([steady], (47, 90), 0, 18),
        ([with_gap], (), 0, MOST_WAITING),
        ([leaps], (), 0, MOST_WAITING),
        ([lambda index: 40.0, comes_late, with_gap], (52,), 0, MOST_WAITING),
    ],
)
def test_crops_on_the_way_are_those_cut_afterwards(
    people: list[Seen], cuts: tuple[int, ...], first: int, most: int
) -> None:
    tracks, crops, waiting = followed(people, cuts, first=first)
    assert waiting <= most
    assert len(tracks) >= len(people)
    for track in tracks:
        found = np.concatenate(list(crops.stream([track], NUM_FRAMES)))[:, 0]
        expected = cropped_afterwards(track)
        assert expected.any()
        np.testing.assert_array_equal(found, expected)


def test_a_person_who_leaps_is_one_track_of_two_parts() -> None:
    """The mouth is not smoothed over the leap: nothing lies between the two places."""
    (track,), _, _ = followed([leaps])
    assert [part.frames[0] for part in track.parts] == [0, 65]
    centre = mouth_roi.mouth_pose(track, NUM_FRAMES).centre[:, 0]
    assert set(centre[:61].round(6)) == {40.0}
    assert set(centre[62:].round(6)) == {150.0}


def test_crops_are_averaged_to_the_side_of_the_network_without_rounding() -> None:
    (track,), crops, _ = followed([steady], side=44)
    found = np.concatenate(list(crops.stream([track], NUM_FRAMES)))[:, 0]
    whole = cropped_afterwards(track).reshape(NUM_FRAMES, 44, 2, 44, 2)
    np.testing.assert_array_equal(found, whole.mean((2, 4), dtype=np.float64))
    assert found.dtype == np.float32
    assert crops.num_bytes == NUM_FRAMES * 44 * 44 * 2


def test_many_crops_go_to_a_file_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (track,), small, _ = followed([steady])
    assert not small.is_on_disk
    monkeypatch.setattr(mouth_crops, "MEMORY_BYTES", 100_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (again,), large, _ = followed([steady])
    assert large.is_on_disk
    assert list(tmp_path.iterdir()) == []
    for one, other in zip(small.stream([track], NUM_FRAMES), large.stream([again], NUM_FRAMES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_full_disk_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    crops = MouthCrops(44)

    def refuse(data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(crops._file, "write", refuse, raising=False)
    with pytest.raises(MissingError, match="No space left") as error:
        crops.add(Track(), 0, np.zeros((2, 88, 88), np.uint8))
    assert (error.value.exit_code, "TMPDIR" in error.value.hint) == (3, True)


def test_tracks_that_do_not_count_are_dropped() -> None:
    (kept, dropped), crops, _ = followed([steady, comes_late])
    crops.keep([kept])
    shown = np.concatenate(list(crops.stream([kept, dropped], NUM_FRAMES)))
    assert shown[:, 0].any()
    assert not shown[:, 1].any()


def test_known_tracks_are_cropped_in_one_pass_alike(clip: Path) -> None:
    recording = reader.probe(clip)
    track = Track(list(range(0, 30, 5)), [face(150, k) for k in range(6)])
    crops = crop_known(recording, [track], 40, side=88)
    expected = np.concatenate(list(mouth_roi.crop_track(recording, track, 40)))
    np.testing.assert_array_equal(np.concatenate(list(crops.stream([track], 40)))[:, 0], expected)


def test_nothing_is_left_when_the_work_is_cancelled(
    clip: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mouth_crops, "MEMORY_BYTES", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def cancel(stage: str, done: float, total: float) -> None:
        if stage == "enhancing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        avse.enhance(clip, model=tiny_model, on_progress=cancel)
    assert list(tmp_path.iterdir()) == []


def test_video_is_decoded_once(clip: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    start = reader.stream_output
    monkeypatch.setattr(
        reader,
        "stream_output",
        lambda command, *rest, **more: commands.append(command) or start(command, *rest, **more),
    )
    for speaker in ("active", "everyone"):
        commands.clear()
        result = avse.enhance(clip, model=tiny_model, speaker=speaker)
        assert result.num_faces == 1
        assert len([command for command in commands if "yuv4mpegpipe" in command]) == 1
