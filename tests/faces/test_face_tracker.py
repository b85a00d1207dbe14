"""Faces are followed through recordings with cuts, losses and frozen video."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from recordings import ffmpeg, write_recording

from avse.active_speaker.selection import relevant_tracks
from avse.faces import mouth_roi
from avse.faces.detection import Detector
from avse.faces.face_tracker import track_faces
from avse.faces.tracking import DETECT_EVERY, Face
from avse.io import reader


def test_every_fifth_frame_is_searched_and_reported(detector: Detector, clip: Path) -> None:
    reported: list[int] = []
    (track,) = track_faces(reader.probe(clip), detector, reported.append)
    assert reported == track.frames == list(range(0, 32, DETECT_EVERY))


@pytest.mark.parametrize("num_threads", [1, 3, 100])
def test_detector_that_fails_ends_the_tracking(clip: Path, num_threads: int) -> None:
    """Though it runs in threads of its own."""

    class Failing:
        def __init__(self) -> None:
            self.num_threads = num_threads

        def __call__(self, frame: np.ndarray) -> list[Face]:
            raise MemoryError("no room for the detector")

    with pytest.raises(MemoryError, match="no room"):
        track_faces(reader.probe(clip), cast(Detector, Failing()))


def test_any_number_of_threads_finds_the_same(detector: Detector, clip: Path) -> None:
    (one,) = track_faces(reader.probe(clip), detector)
    for num_threads in (2, 100):
        (other,) = track_faces(reader.probe(clip), Detector(num_threads))
        assert other.frames == one.frames
        for face, same in zip(one.faces, other.faces, strict=True):
            np.testing.assert_array_equal(same.landmarks, face.landmarks)


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


def test_frozen_video_shows_no_face(detector: Detector, clip: Path, tmp_path: Path) -> None:
    """Encoded again, like a recorded call: after the first detections hardly a grey level changes."""
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
