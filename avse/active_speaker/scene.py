"""The faces of a recording, and what is known of each: where it is, when it is seen, what its mouth does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from avse.active_speaker import detection
from avse.active_speaker.detection import SpeakerActivity
from avse.active_speaker.target import TargetSpeaker
from avse.config import VIDEO_FPS
from avse.faces import mouth_roi
from avse.faces.tracking import Track

RANKS = ("", "second from ", "third from ", "fourth from ", "fifth from ", "sixth from ")


class Scene:
    """The faces that count, largest first, and what their mouths do if they were watched."""

    def __init__(self, tracks: Sequence[Track] = (), activity: SpeakerActivity | None = None) -> None:
        self.tracks = list(tracks)
        self.activity = activity

    def followed(self, index: int | None) -> TargetSpeaker | None:
        """A face as it is to be followed: turned down while it is silent, if it is not the only one."""
        if index is None:
            return None
        if self.activity is None:
            return TargetSpeaker(self.tracks[index])
        gain = detection.activity_gain(self.activity, index) if len(self.tracks) > 1 else None
        return TargetSpeaker(self.tracks[index], gain, self.activity.av_offset_frames)

    def seen_share(self, index: int | None, num_frames: int) -> float:
        """Share of the time that a face is seen."""
        return 0.0 if index is None else float(mouth_roi.mouth_pose(self.tracks[index], num_frames).seen.mean())

    def seen_seconds(self, index: int | None, num_frames: int) -> list[tuple[float, float]]:
        """When a face is seen: begins and ends in seconds."""
        return [] if index is None else intervals(mouth_roi.mouth_pose(self.tracks[index], num_frames).seen)

    def describe(self, index: int | None) -> str:
        """Whom one follows: "Face", or "Face 2 of 3 (right)"."""
        if index is None or len(self.tracks) == 1:
            return "Face"
        return f"Face {index + 1} of {len(self.tracks)} ({self.place(index)})"

    def place(self, index: int) -> str:
        """Where a face is among the others: left, second from left, centre and so on; centre if it is the only one."""
        order = np.argsort([track_centre(track)[0] for track in self.tracks], kind="stable").tolist()
        before = order.index(index)
        after = len(order) - 1 - before
        if before == after:
            return "centre"
        return RANKS[min(before, after)] + ("left" if before < after else "right")

    def facts(self, index: int, num_frames: int) -> dict[str, Any]:
        """What is known of a face, in plain values: position, size, when it is seen, and its mouth if watched."""
        track = self.tracks[index]
        seen = mouth_roi.mouth_pose(track, num_frames).seen
        box = np.median([face.box for face in track.faces], axis=0)
        values = {
            "number": index + 1,
            "position": self.place(index),
            "box_pixels": [round(float(value)) for value in box],
            "seen_share": round(float(seen.mean()), 4),
            "intervals_seconds": intervals(seen),
        }
        if self.activity is not None:
            values["mouth_moves_share"] = round(float(self.activity.moving[index]), 3)
            values["mouth_with_sound"] = round(float(self.activity.agreement[index]), 3)
            values["picture_late_seconds"] = self.activity.av_offset_frames / VIDEO_FPS
        return values


def intervals(seen: np.ndarray) -> list[tuple[float, float]]:
    """When a flag (V,) is set: begins and ends in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(int)))
    return [(first / VIDEO_FPS, last / VIDEO_FPS) for first, last in edges.reshape(-1, 2).tolist()]


def track_centre(track: Track) -> np.ndarray:
    """Where a face is on the whole: (x, y) in pixels."""
    return np.asarray(np.median([(face.box[:2] + face.box[2:]) / 2 for face in track.faces], axis=0))
