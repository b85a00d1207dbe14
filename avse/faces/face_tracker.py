"""Detect faces in every few frames of a recording and link them into tracks.

Faces are detected in threads, some frames ahead of the linking and cropping.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from avse.faces import descriptor
from avse.faces.detection import DETECT_SIDE, Detector
from avse.faces.freeze_detection import changed_pixels, is_frozen
from avse.faces.mouth_cropper import MouthCropper
from avse.faces.mouth_crops import MouthCrops
from avse.faces.reidentification import merge_tracks
from avse.faces.shot_detection import ShotDetector
from avse.faces.tracking import DETECT_EVERY, Face, FaceTracker, Track
from avse.io import reader
from avse.io.luma import Luma
from avse.progress import Stage, span, timed_items

MAX_THREADS = 4
"""Frames that are searched at the same time at most: frames in between wait in memory."""


@dataclass(frozen=True)
class _Step:
    """Hold a frame, its small copy, whether a shot begins, and the faces in it if they are detected there."""

    index: int
    whole: Luma
    small: np.ndarray
    begins: bool
    faces: Future[list[Face]] | None


def track_faces(
    recording: reader.Recording,
    detect: Detector,
    on_frame: Callable[[int], None] | None = None,
    num_frames: int | None = None,
    crops: MouthCrops | None = None,
) -> list[Track]:
    """Track faces: detect in every 5th of the first ``num_frames`` frames and at every cut, link, then merge tracks.

    Where the video begins later than the audio, no face is visible. The tracks are in displayed pixels, the largest
    first. Where ``crops`` are given, the mouths of all tracks are cropped into them in the same pass.
    """
    if recording.video is None:
        return []
    linker, before = FaceTracker(), None
    size = np.array([recording.video.width, recording.video.height])
    cropper = None if crops is None else MouthCropper(linker, crops)
    for step in _detected(recording, detect, crops is not None, num_frames):
        if step.begins:
            linker.cut(step.index)
        if step.faces is not None:
            _link(linker, step, before, size)
            before = step.small
            if on_frame:
                on_frame(step.index)
        if cropper:
            cropper.push(step.whole)
            cropper.update()
    if cropper:
        cropper.finish()
    return merge_tracks(linker.tracks)


def _detected(
    recording: reader.Recording, detect: Detector, with_whole: bool, num_frames: int | None
) -> Iterator[_Step]:
    """Yield the frames in order, each when the next ones are decoded and their faces are being detected."""
    is_cut, first = ShotDetector(), reader.first_video_frame(recording)
    waiting: deque[_Step] = deque()
    num_threads = min(detect.num_threads, MAX_THREADS)
    with ThreadPoolExecutor(num_threads) as detector:
        for index, (whole, small) in enumerate(islice(_frames(recording, with_whole), num_frames)):
            begins = is_cut(small)
            is_searched = begins or index == first or (index > first and index % DETECT_EVERY == 0)
            faces = detector.submit(detect, small) if is_searched else None
            waiting.append(_Step(index, whole, small, begins, faces))
            if len(waiting) > num_threads * DETECT_EVERY:
                yield waiting.popleft()
        yield from waiting


def _link(linker: FaceTracker, step: _Step, before: np.ndarray | None, size: np.ndarray) -> None:
    """Link the faces of a frame to tracks, in pixels of a frame of ``size``."""
    assert step.faces is not None
    with span(Stage.DETECT):
        detected = step.faces.result()
    frame = step.small
    changed = changed_pixels(before, frame)
    faces = [replace(face, still=is_frozen(face, changed)) for face in detected]
    seen = [partial(descriptor.describe_face, frame, face.landmarks) for face in faces]
    linker.add(step.index, [_scaled(face, size / frame.shape[::-1]) for face in faces], seen)


def _frames(recording: reader.Recording, with_whole: bool) -> Iterator[tuple[Luma, np.ndarray]]:
    """Yield each frame and its small copy; the small one twice where the whole is not wanted."""
    if with_whole:
        yield from timed_items(Stage.READ_VIDEO, reader.read_frames_with_small(recording, DETECT_SIDE))
    else:
        small = timed_items(Stage.READ_VIDEO, reader.read_frames(recording, max_side=DETECT_SIDE))
        yield from ((Luma(frame), frame) for frame in small)


def _scaled(face: Face, scale: np.ndarray) -> Face:
    return replace(face, box=face.box * np.tile(scale, 2), landmarks=face.landmarks * scale)
