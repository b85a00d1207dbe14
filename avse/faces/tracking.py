"""Face tracking: link detections over time by intersection over union.

Within a shot a face is linked to its last position or to the position that steady motion predicts, over gaps of at most
a second. Over longer gaps and over cuts only descriptors decide, and the match must be clear. All in displayed pixels.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import numpy as np

DETECT_EVERY = 5
MAX_GAP_FRAMES = 25
MIN_OVERLAP = 0.3
MAX_GROWTH = 2.0
MAX_DESCRIPTORS = 8
FROZEN_DETECTIONS = 5

DescribeFace = Callable[[], np.ndarray]
"""Compute the descriptor of a face on demand."""


@dataclass(frozen=True)
class Face:
    """Hold one face in one frame: box (left, top, right, bottom) and landmarks (5, 2), both in displayed pixels; and
    whether the video has been frozen since the previous detection."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float
    still: bool = False


@dataclass(eq=False)
class Track:
    """Hold one face over time: the frames (at 25 fps, 0 where the audio starts) in which it was detected, in order.

    ``cuts`` are the first frames of new shots. ``descriptors`` describe the face at a few moments. ``parts`` are the
    tracks of one person that were merged into this one, in order; none in a track that was followed without a break.
    """

    frames: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    cuts: Sequence[int] = ()
    descriptors: list[np.ndarray] = field(default_factory=list)
    parts: Sequence[Track] = ()

    @property
    def area(self) -> float:
        """Return the summed area of the boxes in pixels: large for a face that is large, or visible for long."""
        return float(sum(np.prod(face.box[2:] - face.box[:2]) for face in self.faces))

    def add(self, index: int, face: Face, describe: DescribeFace | None = None) -> None:
        """Add a detection; only a few descriptors are computed, ever further apart."""
        self.frames.append(index)
        self.faces.append(face)
        spacing = 1 << max(0, (len(self.frames) - 1) // MAX_DESCRIPTORS).bit_length()
        if describe is not None and (len(self.frames) - 1) % spacing == 0:
            if len(self.descriptors) == MAX_DESCRIPTORS:
                del self.descriptors[1::2]
            self.descriptors.append(describe())

    def expected(self, index: int) -> np.ndarray:
        """Predict the box (4,) at frame ``index`` by steady motion; the last box where there is no motion yet."""
        last = self.faces[-1].box
        if len(self.frames) < 2 or self.frames[-1] - self.frames[-2] > 2 * DETECT_EVERY or self._is_cut(-2):
            return last
        speed = (last - self.faces[-2].box) / (self.frames[-1] - self.frames[-2])
        centre_speed = np.tile((speed[:2] + speed[2:]) / 2, 2)
        return last + centre_speed * min(index - self.frames[-1], 2 * DETECT_EVERY)

    def frozen(self) -> list[slice]:
        """Return the frames in which the video was frozen for a second or more."""
        count = len(self.faces)
        moved = [k for k, face in enumerate(self.faces) if k == 0 or not face.still]
        return [
            slice(self.frames[a] + 1 if a else 0, self.frames[b - 1] + 1 if b < count else None)
            for a, b in pairwise([*moved, count])
            if b - a > FROZEN_DETECTIONS
        ]

    def stretches(self) -> list[slice]:
        """Split the detections into runs without a cut or a gap of more than a second, each within one part."""
        begins = set(accumulate(len(part.frames) for part in self.parts))
        edges = [
            k for k in range(1, len(self.frames))
            if k in begins or self._gap(k - 1) > MAX_GAP_FRAMES or self._is_cut(k - 1)
        ]  # fmt: skip
        return [slice(a, b) for a, b in zip([0, *edges], [*edges, len(self.frames)], strict=True)]

    def _gap(self, k: int) -> int:
        return self.frames[k + 1] - self.frames[k]

    def _is_cut(self, k: int) -> bool:
        """Return whether a new shot begins between detections k and k + 1."""
        return bisect_right(self.cuts, self.frames[k + 1]) > bisect_right(self.cuts, self.frames[k])


class FaceTracker:
    """Link the detections of one frame after the other.

    ``tracks`` are those so far, ``open`` those of them that may go on, ``cuts`` where shots begin.
    """

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.cuts: list[int] = []
        self.open: list[Track] = []

    def cut(self, index: int) -> None:
        """Start a new shot at this frame: no track continues."""
        self.cuts.append(index)
        self.open = []

    def add(self, index: int, faces: Sequence[Face], descriptors: Sequence[DescribeFace | None] | None = None) -> None:
        """Assign each face of a frame to the track that it fits best, or begin a new one."""
        descriptors = descriptors or [None] * len(faces)
        self.open = [track for track in self.open if index - track.frames[-1] <= MAX_GAP_FRAMES]
        pairs = [
            (fit, number, k)
            for number, track in enumerate(self.open)
            for k, face in enumerate(faces)
            if (fit := _match_score(track, index, face)) >= MIN_OVERLAP
        ]
        free, left = dict(enumerate(self.open)), dict(enumerate(faces))
        for _, number, k in sorted(pairs, key=lambda pair: -pair[0]):
            if number in free and k in left:
                free.pop(number).add(index, left.pop(k), descriptors[k])
        begun = [Track(cuts=self.cuts) for _ in left]
        for track, (k, face) in zip(begun, left.items(), strict=True):
            track.add(index, face, descriptors[k])
        self.open += begun
        self.tracks += begun


def sort_by_area(tracks: Iterable[Track]) -> list[Track]:
    """Sort tracks largest first: the order in which faces are numbered."""
    return sorted(tracks, key=lambda track: -track.area)


def box_iou(a: np.ndarray, b: np.ndarray) -> Any:
    """Compute the intersection over union of bounding boxes (..., 4), which broadcast."""
    width, height = (
        np.maximum(np.minimum(a[..., k + 2], b[..., k + 2]) - np.maximum(a[..., k], b[..., k]), 0) for k in (0, 1)
    )
    both = width * height
    return both / (_area(a) + _area(b) - both + 1e-9)


def _area(box: np.ndarray) -> Any:
    return (box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1])


def _match_score(track: Track, index: int, face: Face) -> float:
    """Return how well a face continues a track, 0 to 1; 0 if its size jumps."""
    last = track.faces[-1].box
    growth = float(np.prod(face.box[2:] - face.box[:2]) / max(np.prod(last[2:] - last[:2]), 1e-9)) ** 0.5
    if not 1 / MAX_GROWTH <= growth <= MAX_GROWTH:
        return 0.0
    return float(max(box_iou(last, face.box), box_iou(track.expected(index), face.box)))
