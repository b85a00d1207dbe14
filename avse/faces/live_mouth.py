"""Follow one face in a live stream of frames and crop its mouth, without later frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from PIL import Image

from avse.faces import descriptor
from avse.faces.detection import DETECT_SIDE, Detector
from avse.faces.freeze_detection import changed_pixels, is_frozen
from avse.faces.mouth_roi import CROP_SIZE, crop_mouth, mouth_pose
from avse.faces.reidentification import ABSENCE_FRAMES, ANYWHERE, ONLY_FACE, SAME_PLACE
from avse.faces.shot_detection import ShotDetector
from avse.faces.tracking import (
    DETECT_EVERY,
    MAX_DESCRIPTORS,
    MAX_GAP_FRAMES,
    MIN_OVERLAP,
    Face,
    FaceTracker,
    Track,
    box_iou,
)

Choice = Literal["largest", "left", "right"] | int
CHOICES = ("largest", "left", "right")
HISTORY = 16
"""Number of detections of a face that are kept: 3 s, more than the reach of the pose smoothing."""
KNOWN_DETECTIONS = 5


@dataclass
class _Target:
    """Hold the face that is followed, its descriptors, and when and how often it was detected."""

    track: Track
    descriptors: list[np.ndarray] = field(default_factory=list)
    seen_at: int = 0
    num_seen: int = 0

    @property
    def is_known(self) -> bool:
        """Return whether it was detected so often that no other face replaces it."""
        return self.num_seen >= KNOWN_DETECTIONS


class LiveMouth:
    """Crop the mouth of one face from frames as they come; no memory grows with their number.

    The face is chosen by its position when it first appears. After a cut or a gap it is recognised by its descriptors;
    another one is chosen when it was not detected for 10 s.
    """

    def __init__(
        self, choice: Choice = "largest", phase: int = 0, detect: Callable[[np.ndarray], list[Face]] | None = None
    ) -> None:
        """Prepare for a stream.

        Args:
            choice: which face is followed; a number is a rank by size, 0 for the largest.
            phase: faces are detected in the frames ``phase``, ``phase + 5`` and so on, in the first, and after cuts.
            detect: finds the faces of a grey frame; None loads `avse.faces.detection.Detector`.
        """
        self._choice, self._phase, self._detect = choice, phase % DETECT_EVERY, detect or Detector(num_threads=1)
        self._tracker, self._is_cut = FaceTracker(), ShotDetector()
        self._target: _Target | None = None
        self._pending: list[np.ndarray] = []
        self._before: np.ndarray | None = None
        self._index = -1

    def push(self, frame: np.ndarray) -> np.ndarray:
        """Add a frame, grey (H, W) or RGB (H, W, 3) uint8; return the crops (K, 88, 88) that are ready.

        A frame is cropped once the next detection gives the position of its face, at most 4 frames later.
        """
        grey, small = grey_and_small(frame)
        return self.add(grey, small, self._is_cut(small))

    def add(self, grey: np.ndarray, small: np.ndarray, begins: bool) -> np.ndarray:
        """Add a frame like `push`, given the result of `grey_and_small`, and whether a shot begins with it."""
        ready = [self.flush() if begins else _NOTHING]
        self._index += 1
        if begins:
            self._tracker.cut(self._index)
        self._pending.append(grey)
        if begins or self._index == 0 or self._index % DETECT_EVERY == self._phase:
            self._update(small, np.array(grey.shape[::-1]) / small.shape[::-1])
            ready.append(self.flush())
        return np.concatenate(ready)

    def flush(self) -> np.ndarray:
        """Return the crops (K, 88, 88) of all pending frames; black where the mouth is not visible."""
        frames, self._pending = self._pending, []
        first = self._index + 1 - len(frames)
        if not frames or self._target is None:
            return np.zeros((len(frames), CROP_SIZE, CROP_SIZE), np.uint8)
        track = self._target.track
        base = min(first, track.frames[0])
        shifted = Track([index - base for index in track.frames], track.faces, [cut - base for cut in self._cuts(base)])
        pose = mouth_pose(shifted, self._index + 1 - base)
        return np.stack([
            crop_mouth(frame, pose.centre[k], float(pose.side[k]), float(pose.angle[k]))
            if pose.visible[k] else np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
            for k, frame in enumerate(frames, first - base)
        ])  # fmt: skip

    def _cuts(self, base: int) -> list[int]:
        return [cut for cut in self._tracker.cuts if cut > base]

    def _update(self, small: np.ndarray, scale: np.ndarray) -> None:
        """Detect the faces of the current frame, link them to tracks, and update the followed face."""
        changed, self._before = changed_pixels(self._before, small), small
        faces = [
            Face(face.box * np.tile(scale, 2), face.landmarks * scale, face.score, is_frozen(face, changed))
            for face in self._detect(small)
        ]
        self._tracker.add(self._index, faces)
        self._choose(small, scale)
        self._forget()

    def _choose(self, small: np.ndarray, scale: np.ndarray) -> None:
        """Choose the face to follow among those that are detected now."""
        shown = [track for track in self._tracker.tracks if track.frames[-1] == self._index]
        target = self._target
        is_shown = target is not None and any(track is target.track for track in shown)
        if target is not None and (self._is_waiting(target) or (is_shown and target.is_known)):
            found = target.track if is_shown else None
        elif target is not None and target.is_known and self._index - target.seen_at < ABSENCE_FRAMES:
            found = _most_similar(shown, target, small, scale)
        else:
            self._target = None if target is None or target.is_known else target
            found = _by_place(shown, self._choice)
        if found is not None:
            self._follow(found, small, scale)

    def _follow(self, track: Track, small: np.ndarray, scale: np.ndarray) -> None:
        """Follow a track from now on, and store descriptors of its face."""
        target = self._target
        if target is None or (target.track is not track and not target.is_known):
            target = self._target = _Target(track)
        target.track, target.seen_at, target.num_seen = track, self._index, target.num_seen + 1
        if len(target.descriptors) < MAX_DESCRIPTORS:
            target.descriptors.append(_describe(small, track, scale))

    def _is_waiting(self, target: _Target) -> bool:
        """Return whether a known face may come back at its position: no cut, and a gap of at most a second."""
        last, cuts = target.track.frames[-1], self._tracker.cuts
        return target.is_known and self._index - last <= MAX_GAP_FRAMES and not (cuts and cuts[-1] > last)

    def _forget(self) -> None:
        """Remove data that is no longer needed."""
        old, tracker = self._index - ABSENCE_FRAMES, self._tracker
        tracker.cuts[:] = [cut for cut in tracker.cuts if cut > old]
        tracker.tracks = [track for track in tracker.tracks if track.frames[-1] > self._index - 2 * MAX_GAP_FRAMES]
        for track in tracker.tracks:
            del track.frames[:-HISTORY], track.faces[:-HISTORY]


_NOTHING = np.zeros((0, CROP_SIZE, CROP_SIZE), np.uint8)


def grey_and_small(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame in grey, and with a longer side of at most 480 pixels, as faces are detected in."""
    grey = np.asarray(Image.fromarray(frame).convert("L"))
    height, width = grey.shape
    scale = DETECT_SIDE / max(height, width)
    if scale >= 1:
        return grey, grey
    size = max(int(scale * width), 2), max(int(scale * height), 2)
    return grey, np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))


def _by_place(tracks: list[Track], choice: Choice) -> Track | None:
    """Return the face that is the largest so far, or of another rank by size, or furthest to one side."""
    if not tracks:
        return None
    if choice == "largest" or isinstance(choice, int):
        by_size = sorted(tracks, key=lambda track: track.area, reverse=True)
        return next(iter(by_size[choice if isinstance(choice, int) else 0 :]), None)
    side = {track.faces[-1].box[[0, 2]].mean(): track for track in tracks}
    return side[min(side) if choice == "left" else max(side)]


def _describe(small: np.ndarray, track: Track, scale: np.ndarray) -> np.ndarray:
    return descriptor.describe_face(small, track.faces[-1].landmarks / scale)


def _most_similar(tracks: list[Track], target: _Target, small: np.ndarray, scale: np.ndarray) -> Track | None:
    """Return the face that is clearly the known one, if any; it takes less near its last position, or if alone."""
    if not tracks:
        return None
    known, place = np.stack(target.descriptors), target.track.faces[-1].box
    similarities = [float((known @ _describe(small, track, scale)).max()) for track in tracks]
    best = int(np.argmax(similarities))
    needed = ONLY_FACE if len(tracks) == 1 else ANYWHERE
    if box_iou(place, tracks[best].faces[-1].box) >= MIN_OVERLAP:
        needed = SAME_PLACE
    return tracks[best] if similarities[best] >= needed else None
