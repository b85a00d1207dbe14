"""The faces of a recording, and the facts about each: position, visible intervals, mouth motion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from avse.active_speaker import detection
from avse.active_speaker.detection import SpeakerActivity
from avse.active_speaker.target import TargetSpeaker
from avse.config import VIDEO_FPS
from avse.faces import mouth_roi
from avse.faces.mouth_crops import MouthCrops
from avse.faces.tracking import Track

RANKS = ("", "second from ", "third from ", "fourth from ", "fifth from ", "sixth from ")


class Scene:
    """Hold the relevant faces of a recording, largest first, their mouths, and their activity if it was measured."""

    def __init__(
        self,
        tracks: Sequence[Track] = (),
        activity: SpeakerActivity | None = None,
        crops: MouthCrops | None = None,
    ) -> None:
        self.tracks = list(tracks)
        self.activity = activity
        self.crops = crops

    def target(self, index: int) -> TargetSpeaker:
        """Return a face as a target speaker: attenuated while it is silent, unless it is the only face."""
        if self.activity is None:
            return TargetSpeaker(self.tracks[index])
        offset = self.activity.av_offset_frames
        if len(self.tracks) == 1:
            return TargetSpeaker(self.tracks[index], av_offset_frames=offset)
        gain = detection.activity_gain(self.activity, index)
        return TargetSpeaker(self.tracks[index], gain, detection.moves_alone(self.activity, index), offset)

    def speech_intervals(self, index: int) -> list[tuple[float, float]]:
        """Return when a face speaks: begins and ends in seconds; nothing if the activity was not measured."""
        return [] if self.activity is None else intervals(self.activity.speaking[index])

    @property
    def speaking_faces(self) -> list[int]:
        """Return the indices of the faces whose mouths move at all; all faces if the activity was not measured."""
        if self.activity is None:
            return list(range(len(self.tracks)))
        return np.flatnonzero(~self.activity.is_still).tolist()

    def visible_share(self, index: int, num_frames: int) -> float:
        """Return the share of the frames in which a face is visible."""
        return float(mouth_roi.mouth_pose(self.tracks[index], num_frames).visible.mean())

    def visible_intervals(self, index: int, num_frames: int) -> list[tuple[float, float]]:
        """Return when a face is visible: begins and ends in seconds."""
        return intervals(mouth_roi.mouth_pose(self.tracks[index], num_frames).visible)

    def describe(self, index: int) -> str:
        """Return "Face", or "Face 2 of 3 (right)"."""
        if len(self.tracks) == 1:
            return "Face"
        return f"Face {index + 1} of {len(self.tracks)} ({self.place(index)})"

    def place(self, index: int) -> str:
        """Return the position of a face among the others: left, second from left, ...; centre if it is the only one."""
        order = np.argsort([track_centre(track)[0] for track in self.tracks], kind="stable").tolist()
        before = order.index(index)
        after = len(order) - 1 - before
        if before == after:
            return "centre"
        return RANKS[min(before, after)] + ("left" if before < after else "right")

    def facts(self, index: int, num_frames: int) -> dict[str, Any]:
        """Return the facts about a face as plain values; those about its mouth only if the activity was measured.

        ``mouth_moves_share``, ``mouth_with_sound`` and ``picture_late_seconds`` are earlier names of
        ``mouth_motion_share``, ``av_correlation`` and ``av_offset_seconds``; they will be removed.
        """
        box = np.median([face.box for face in self.tracks[index].faces], axis=0)
        values: dict[str, Any] = {
            "number": index + 1,
            "position": self.place(index),
            "box_pixels": [round(float(value)) for value in box],
            "seen_share": round(self.visible_share(index, num_frames), 4),
            "intervals_seconds": self.visible_intervals(index, num_frames),
        }
        if self.activity is not None:
            motion_share = round(float(self.activity.motion_share[index]), 3)
            correlation = round(float(self.activity.mean_correlation[index]), 3)
            offset_seconds = self.activity.av_offset_frames / VIDEO_FPS
            speech = self.speech_intervals(index)
            speech_seconds = sum(end - begin for begin, end in speech)
            values |= {
                "speech_seconds": round(speech_seconds, 2),
                "speech_share": round(speech_seconds * VIDEO_FPS / max(num_frames, 1), 4),
                "speech_intervals_seconds": speech,
                "mouth_motion_share": motion_share, "av_correlation": correlation, "av_offset_seconds": offset_seconds,
                "mouth_moves_share": motion_share, "mouth_with_sound": correlation,
                "picture_late_seconds": offset_seconds,
            }  # fmt: skip
        return values


def intervals(flags: np.ndarray) -> list[tuple[float, float]]:
    """Return when a flag (V,) is set: begins and ends in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(first / VIDEO_FPS, last / VIDEO_FPS) for first, last in edges.reshape(-1, 2).tolist()]


def track_centre(track: Track) -> np.ndarray:
    """Return the median position of a face: (x, y) in pixels."""
    return np.asarray(np.median([(face.box[:2] + face.box[2:]) / 2 for face in track.faces], axis=0))
