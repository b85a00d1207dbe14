"""Whom one looks at: the faces of a recording, the one that is followed, its mouth in time with the sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from avse.active_speaker.av_sync import compensate_av_offset
from avse.active_speaker.detection import SpeakerActivity, detect_activity
from avse.active_speaker.scene import Scene, track_centre
from avse.active_speaker.target import TargetSpeaker
from avse.config import VIDEO_FPS
from avse.dsp.levels import AudioStats
from avse.errors import UsageError
from avse.faces import detection, face_tracker, mouth_roi
from avse.faces.tracking import Track
from avse.io import reader
from avse.models.net import SpeechNet
from avse.progress import Report

MIN_CORRELATION = 0.03
"""Over 20 s, one's own lips go better with one's voice than that, and most strangers' do not (docs/recordings.md)."""


@dataclass(frozen=True)
class Selection:
    """The faces that count, the index of the one that is followed, and its mouth; nobody where there is none."""

    scene: Scene = field(default_factory=Scene)
    index: int | None = None
    followed: TargetSpeaker | None = None

    @property
    def track(self) -> Track | None:
        """Where the face that is followed is."""
        return None if self.index is None else self.scene.tracks[self.index]

    @property
    def av_offset_seconds(self) -> float:
        """By how much its picture comes later than the sound; earlier if negative."""
        return (self.followed.av_offset_frames or 0) / VIDEO_FPS if self.followed else 0.0

    @property
    def agreement(self) -> float | None:
        """How well the lips of an only face go with the sound: a correlation; None where that was not measured."""
        return self.followed.agreement if self.followed else None

    @property
    def remarks(self) -> str:
        """What was put right about its picture, and what is to be doubted."""
        late = self.av_offset_seconds
        told = f" The picture is {abs(late):.2f} s {'late' if late > 0 else 'early'}; put right." if late else ""
        if self.agreement is not None and self.agreement < MIN_CORRELATION:
            told += " The lips hardly go with the sound: compare with --no-video."
        return told


def select_target(
    recording: reader.Recording, stats: AudioStats, net: SpeechNet, speaker: str | int, report: Report,
    tracks: Sequence[Track] | None = None,
) -> Selection:  # fmt: skip
    """Find the faces, watch their mouths, follow one; a net that only listens follows nobody.

    Args:
        speaker: whose voice is wanted, as `avse.enhancement.pipeline.enhance` takes it.
        tracks: the faces where they are known; None looks for them.

    Raises:
        UsageError: there is no such face, or no such wish.
    """
    if net.lips is None:
        return Selection()
    scene = analyse_faces(recording, stats, net, report, tracks=tracks)
    index = select_face(scene.tracks, parse_speaker(speaker), scene.activity)
    on_frame = _frame_progress(report, "watching mouths", stats.num_frames)
    return Selection(scene, index, compensate_av_offset(net, recording, stats, scene.followed(index), on_frame))


def check_speaker(net: SpeechNet, speaker: str | int) -> None:
    """UsageError for a speaker that nobody can be, or that this net cannot look for."""
    if parse_speaker(speaker) != "active" and net.lips is None:
        raise UsageError("A model that only listens cannot tell faces apart.", "Leave --speaker out.")


def analyse_faces(
    recording: reader.Recording, stats: AudioStats, net: SpeechNet, report: Report, watch_one: bool = False,
    tracks: Sequence[Track] | None = None,
) -> Scene:  # fmt: skip
    """The faces that count; where there are several, their mouths are watched to see who speaks when."""
    found = find_faces(recording, stats.num_frames, report) if tracks is None else tracks
    people = relevant_tracks(found, stats.num_frames)
    if net.lips is None or len(people) < (1 if watch_one else 2):
        return Scene(people)
    on_frame = _frame_progress(report, "watching mouths", stats.num_frames)
    return Scene(people, detect_activity(net, recording, people, stats, on_frame))


def find_faces(recording: reader.Recording, num_frames: int, report: Report) -> list[Track]:
    """Find the faces in as many video frames as there is sound, largest first."""
    if recording.video is None:
        return []
    on_frame = _frame_progress(report, "looking for faces", num_frames)
    return face_tracker.track_faces(recording, detection.Detector(torch.get_num_threads()), on_frame, num_frames)


def _frame_progress(report: Report, stage: str, num_frames: int) -> Callable[[int], None]:
    return lambda index: report(stage, index / VIDEO_FPS, num_frames / VIDEO_FPS)


SPEAKER_WORDS = ("active", "largest", "left", "right")
MAX_FACES = 12
MIN_SCORE = 0.03

SpeakerChoice = str | int


def parse_speaker(wish: str | int, *others: str) -> SpeakerChoice:
    """What was asked for as ``speaker``: a word of `WORDS`, or the number of a face. UsageError for anything else.

    ``others`` are words that the caller understands beside these: the error names them, too.
    """
    text = str(wish).strip().lower()
    if text in SPEAKER_WORDS:
        return text
    if text.isdecimal() and int(text) > 0:
        return int(text)
    known = ", ".join((*SPEAKER_WORDS, *others))
    raise UsageError(f"There is no speaker {wish!r}.", f"Give the number of a face (see: avse faces), or: {known}.")


def relevant_tracks(tracks: Sequence[Track], num_frames: int) -> list[Track]:
    """The faces that count, as they are numbered: seen for a second, or for a fifth of a short recording.

    Where there is none such, the first that is seen at all.
    """
    seen = [(track, mouth_roi.mouth_pose(track, num_frames).seen.sum()) for track in tracks]
    found = [track for track, count in seen if count >= min(25, num_frames // 5)]
    return (found or [track for track, count in seen if count][:1])[:MAX_FACES]


def select_face(tracks: Sequence[Track], wish: SpeakerChoice, activity: SpeakerActivity | None) -> int | None:
    """Index of the face that is meant, None where there is no face. UsageError for a number that no face has."""
    if isinstance(wish, int):
        if wish > len(tracks):
            seen = f"only {len(tracks)} faces" if len(tracks) > 1 else "one face" if tracks else "no face"
            raise UsageError(f"There is no face {wish}: {seen} can be seen.", "Look at them: avse faces RECORDING")
        return wish - 1
    if not tracks:
        return None
    if wish == "active" and activity is not None:
        return _most_active(activity)
    if wish in ("left", "right"):
        places = [track_centre(track)[0] for track in tracks]
        return int(np.argmin(places) if wish == "left" else np.argmax(places))
    return 0


def _most_active(activity: SpeakerActivity) -> int:
    score = activity.score
    if score.max() >= MIN_SCORE:
        return int(np.argmax(score))
    candidates = np.flatnonzero(activity.moving >= 0.5 * activity.moving.max())
    return int(candidates[0])
