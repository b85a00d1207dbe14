"""Detect faces in every few frames of a recording and link them into tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
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
from avse.progress import Stage, span, timed_items


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
    linker, is_cut, first = FaceTracker(), ShotDetector(), reader.first_video_frame(recording)
    before: np.ndarray | None = None
    size = np.array([recording.video.width, recording.video.height])
    cropper = None if crops is None else MouthCropper(linker, crops)
    for index, (whole, frame) in enumerate(islice(_frames(recording, crops is not None), num_frames)):
        begins = is_cut(frame)
        if begins:
            linker.cut(index)
        if begins or index == first or (index > first and index % DETECT_EVERY == 0):
            changed = changed_pixels(before, frame)
            with span(Stage.DETECT):
                detected = detect(frame)
            faces = [replace(face, still=is_frozen(face, changed)) for face in detected]
            before = frame
            seen = [partial(descriptor.describe_face, frame, face.landmarks) for face in faces]
            linker.add(index, [_scaled(face, size / frame.shape[::-1]) for face in faces], seen)
            if on_frame:
                on_frame(index)
        if cropper:
            cropper.push(whole)
            cropper.update()
    if cropper:
        cropper.finish()
    return merge_tracks(linker.tracks)


def _frames(recording: reader.Recording, with_whole: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each frame and its small copy; the small one twice where the whole is not wanted."""
    if with_whole:
        yield from timed_items(Stage.READ_VIDEO, reader.read_frames_with_small(recording, DETECT_SIDE))
    else:
        small = timed_items(Stage.READ_VIDEO, reader.read_frames(recording, max_side=DETECT_SIDE))
        yield from ((frame, frame) for frame in small)


def _scaled(face: Face, scale: np.ndarray) -> Face:
    return replace(face, box=face.box * np.tile(scale, 2), landmarks=face.landmarks * scale)
