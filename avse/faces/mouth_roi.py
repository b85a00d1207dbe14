"""The mouth ROI: crop the mouth of a track from every frame, aligned, at one size and 25 fps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from avse.dsp.filters import gaussian_smooth
from avse.faces.alignment import aligned_crop, window_reach
from avse.faces.tracking import DETECT_EVERY, MAX_GAP_FRAMES, Face, Track
from avse.io import reader
from avse.progress import Stage, span, timed_items

CROP_SIZE = 88
SIDE_PER_FACE = 1.4
SMOOTH_FRAMES = 3.0
SMOOTH_REACH = round(4 * SMOOTH_FRAMES)
"""Number of frames to each side that the smoothing covers: where the Gaussian is cut off."""


@dataclass(frozen=True)
class MouthPose:
    """Hold the mouth in V frames: centre (V, 2) and side (V,) in pixels, angle (V,) in radians, visible (V,) bool."""

    centre: np.ndarray
    side: np.ndarray
    angle: np.ndarray
    visible: np.ndarray


def mouth_pose(track: Track, num_frames: int) -> MouthPose:
    """Interpolate the landmarks of a track to every frame and smooth them, never across a cut.

    A frozen face is not visible: frozen video carries no information about speech.

    The side is 1.4 times the distance of the eyes, or of eyes and mouth where a turned head shortens the first.
    """
    values = _mouths(track.faces)
    smooth, seen = np.zeros((num_frames, 4)), np.zeros(num_frames, bool)
    for stretch in track.stretches():
        frames = track.frames[stretch]
        within = slice(*_reach(frames, track.cuts, num_frames))
        times = np.arange(within.start, within.stop)
        if len(times):
            smooth[within] = _every_frame(frames, values[stretch], times)
            seen[within] = _visible_frames(frames, times)
    for frozen in track.frozen():
        seen[frozen] = False
    return MouthPose(smooth[:, :2], smooth[:, 2], smooth[:, 3], seen)


def pose_between(track: Track, begin: int, end: int) -> MouthPose:
    """Return the mouth in frames ``begin`` to ``end`` of a track that was followed without a break.

    The same as `mouth_pose` says of them, if no detection within ``SMOOTH_REACH`` frames of them is still to come, and
    none that comes next after those. Only the detections around them are looked at.
    """
    first = max(bisect_right(track.frames, begin - SMOOTH_REACH) - 1, 0)
    last = bisect_right(track.frames, end + SMOOTH_REACH) + 1
    frames, times = track.frames[first:last], np.arange(begin - SMOOTH_REACH, end + SMOOTH_REACH)
    within = slice(SMOOTH_REACH, len(times) - SMOOTH_REACH)
    smooth = _every_frame(frames, _mouths(track.faces[first:last]), times)[within]
    return MouthPose(smooth[:, :2], smooth[:, 2], smooth[:, 3], _visible_frames(frames, times)[within])


def crop_mouth(frame: np.ndarray, centre: np.ndarray, side: float, angle: float) -> np.ndarray:
    """Crop one mouth, uint8 (88, 88), from a grey frame (H, W)."""
    return aligned_crop(frame, centre, side, angle, CROP_SIZE)


def crop_track(recording: reader.Recording, track: Track, num_frames: int) -> Iterator[np.ndarray]:
    """Yield the mouth crops of a track, uint8 (1, 88, 88) for each of ``num_frames``; black where not visible."""
    for mouths in crop_tracks(recording, [track], num_frames):
        yield mouths[:, 0]


def crop_tracks(recording: reader.Recording, tracks: Sequence[Track], num_frames: int) -> Iterator[np.ndarray]:
    """Yield the mouth crops of K tracks in one pass over the video: uint8 (1, K, 88, 88) for each frame."""
    places = [mouth_pose(track, num_frames) for track in tracks]
    index = -1
    if any(place.visible.any() for place in places):
        box = _bounding_window(recording, places)
        corner = np.array(box[:2])
        frames = timed_items(Stage.READ_VIDEO, reader.read_frames(recording, crop=box))
        for index, frame in zip(range(num_frames), frames, strict=False):
            with span(Stage.CROP):
                mouths = np.stack([_mouth(frame, place, index, corner) for place in places])[None]
            yield mouths
    for _ in range(num_frames - index - 1):
        yield np.zeros((1, len(tracks), CROP_SIZE, CROP_SIZE), np.uint8)


def blank_crops(num_frames: int) -> Iterator[np.ndarray]:
    """Yield black crops, as `crop_track` does for a mouth that is never visible."""
    for _ in range(num_frames):
        yield np.zeros((1, CROP_SIZE, CROP_SIZE), np.uint8)


def visible(mouths: np.ndarray) -> np.ndarray:
    """Return which of the mouth crops (V, 88, 88) are visible: bool (V,)."""
    return np.asarray(mouths.any(axis=(1, 2)))


def _mouths(faces: Sequence[Face]) -> np.ndarray:
    """Return the centre, side and angle of the mouth of each face: (D, 4)."""
    marks = np.stack([face.landmarks for face in faces])
    eyes, mouth = marks[:, :2].mean(1), marks[:, 3:].mean(1)
    across = marks[:, 1] - marks[:, 0] + marks[:, 4] - marks[:, 3]
    face_size = np.maximum(np.linalg.norm(marks[:, 1] - marks[:, 0], axis=1), np.linalg.norm(mouth - eyes, axis=1))
    angle = np.unwrap(np.arctan2(across[:, 1], across[:, 0]))
    return np.column_stack([mouth, SIDE_PER_FACE * face_size, angle])


def _mouth(frame: np.ndarray, place: MouthPose, index: int, corner: np.ndarray) -> np.ndarray:
    if not place.visible[index]:
        return np.zeros((CROP_SIZE, CROP_SIZE), np.uint8)
    return crop_mouth(frame, place.centre[index] - corner, place.side[index], place.angle[index])


def _reach(frames: list[int], cuts: Sequence[int], num_frames: int) -> tuple[int, int]:
    """Return the frames around a run of detections that belong to it: never beyond its shot."""
    first, last = frames[0] - DETECT_EVERY + 1, frames[-1] + DETECT_EVERY
    shot = bisect_right(cuts, frames[0])
    begin, end = cuts[shot - 1] if shot > 0 else 0, cuts[shot] if shot < len(cuts) else num_frames
    return min(max(first, begin), num_frames), min(last, end, num_frames)


def _every_frame(frames: list[int], values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Interpolate values (D, columns) at the detections' frames to all ``times`` and smooth them."""
    columns = [np.interp(times, frames, column) for column in values.T]
    return gaussian_smooth(np.column_stack(columns), SMOOTH_FRAMES, axis=0, mode="edge")


def _visible_frames(frames: list[int], times: np.ndarray) -> np.ndarray:
    """Mark a frame visible where detections surround it closely, or one is at most a step away."""
    begin = int(times[0])
    seen = np.zeros(len(times), bool)
    for first, second in zip(frames, [*frames[1:], frames[-1]], strict=True):
        near = second - first <= MAX_GAP_FRAMES // 2
        low, high = first - DETECT_EVERY + 1, (second if near else first) + DETECT_EVERY
        seen[max(0, low - begin) : max(0, high - begin)] = True
    return seen


def mouth_windows(pose: MouthPose, size: np.ndarray) -> np.ndarray:
    """Return the part of a frame of ``size`` (width, height) that the crop of each mouth is made from.

    Left, top, right, bottom of each: int (V, 4), with a margin for interpolation, at least two pixels a side.
    """
    reach = window_reach(pose.side, pose.angle, CROP_SIZE)
    low = np.clip(np.floor(pose.centre - reach[:, None]), 0, size - 2)
    high = np.clip(np.ceil(pose.centre + reach[:, None]), low + 2, size)
    return np.concatenate([low, high], axis=1).astype(int)


def _bounding_window(recording: reader.Recording, places: Sequence[MouthPose]) -> tuple[int, int, int, int]:
    """Return the smallest window (left, top, width, height) that holds all mouths."""
    assert recording.video is not None
    size = np.array([recording.video.width, recording.video.height])
    every = np.concatenate([mouth_windows(place, size)[place.visible] for place in places])
    low, high = every[:, :2].min(0), every[:, 2:].max(0)
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])
