"""Crop the mouths of all tracks during decoding: a frame waits until no later detection can move its crops."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from avse.dsp.resampling import regroup
from avse.faces.mouth_crops import READ_FRAMES, MouthCrops
from avse.faces.mouth_roi import CROP_SIZE, SMOOTH_REACH, crop_mouth, crop_tracks, mouth_windows, pose_between
from avse.faces.tracking import DETECT_EVERY, FaceTracker, Track
from avse.io import reader
from avse.io.luma import Luma
from avse.progress import Stage, span


class MouthCropper:
    """Hold the last frames, and crop each mouth as soon as its smoothed position is known.

    The position in a frame is known when the face was detected as far after it as the smoothing reaches, or when its
    track has ended. At most 42 frames wait, and 17 where the face is detected each time.
    """

    def __init__(self, tracker: FaceTracker, crops: MouthCrops) -> None:
        self._tracker, self._crops = tracker, crops
        self._frames: deque[Luma] = deque()
        self._first = 0
        self._next: dict[Track, int] = {}
        """The frame of each open track that is cropped next."""

    @property
    def num_waiting(self) -> int:
        """Return how many frames are held."""
        return len(self._frames)

    def push(self, frame: Luma) -> None:
        """Take the next frame."""
        self._frames.append(frame)

    def update(self) -> None:
        """Crop what is known once the tracker has processed the last frame, and release frames no longer needed."""
        index = self._first + len(self._frames) - 1
        open_tracks = set(self._tracker.open)
        for track in self._tracker.open:
            if track not in self._next:
                begin = max(track.frames[0] - DETECT_EVERY + 1, self._shot_begin(), 0)
                self._next[track] = max(begin, self._first)
        for track in list(self._next):
            if track in open_tracks:
                self._crop(track, track.frames[-1] - SMOOTH_REACH + 1)
            else:
                self._close(track, index)
        needed = min([*self._next.values(), index - DETECT_EVERY + 2])
        while self._first < needed:
            self._frames.popleft()
            self._first += 1

    def finish(self) -> None:
        """Crop the rest: the video has ended."""
        for track in list(self._next):
            self._close(track, self._first + len(self._frames))
        self._frames.clear()

    def _shot_begin(self) -> int:
        return self._tracker.cuts[-1] if self._tracker.cuts else 0

    def _close(self, track: Track, index: int) -> None:
        """Crop a track to its end, which lies before frame ``index`` and within its shot."""
        cut = next((cut for cut in self._tracker.cuts[-1:] if cut > track.frames[-1]), index)
        self._crop(track, min(track.frames[-1] + DETECT_EVERY, cut, index))
        del self._next[track]

    def _crop(self, track: Track, end: int) -> None:
        begin = self._next[track]
        if end <= begin:
            return
        with span(Stage.CROP):
            held = [self._frames[k - self._first] for k in range(begin, end)]
            self._crops.add(track, begin, crop_frames(held, track, begin))
        self._next[track] = end


def crop_known(
    recording: reader.Recording,
    tracks: Sequence[Track],
    num_frames: int,
    side: int,
    on_frame: Callable[[int], None] | None = None,
) -> MouthCrops:
    """Crop the mouths of tracks that are known, from ``num_frames`` of a recording, in one pass.

    ``on_frame`` is called with the number of frames that are done.
    """
    crops, begin = MouthCrops(side), 0
    for mouths in regroup(crop_tracks(recording, tracks, num_frames), READ_FRAMES):
        for number, track in enumerate(tracks):
            crops.add(track, begin, mouths[:, number])
        begin += len(mouths)
        if on_frame:
            on_frame(begin)
    return crops


def crop_frames(frames: Sequence[Luma], track: Track, begin: int) -> np.ndarray:
    """Crop the mouth of a track from consecutive frames, the first of which is ``begin``: uint8 (V, 88, 88)."""
    pose = pose_between(track, begin, begin + len(frames))
    windows = mouth_windows(pose, np.array(frames[0].stored.shape[::-1]))
    crops = np.zeros((len(frames), CROP_SIZE, CROP_SIZE), np.uint8)
    for k in np.flatnonzero(pose.visible):
        part, corner = frames[k].window(*windows[k]), windows[k, :2]
        crops[k] = crop_mouth(part, pose.centre[k] - corner, pose.side[k], pose.angle[k])
    return crops
