"""Cut the mouth of one face out of every frame: upright, centred, of one size, at 25 fps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from avse import media
from avse.faces import DETECT_EVERY, MAX_GAP_FRAMES, Track

CROP = 88
SIDE_PER_FACE = 1.4
SMOOTH_FRAMES = 3.0


@dataclass(frozen=True)
class Pose:
    """The mouth in each of V frames: centre (V, 2) and side (V,) in pixels, angle (V,) in radians, seen (V,) bool."""

    centre: np.ndarray
    side: np.ndarray
    angle: np.ndarray
    seen: np.ndarray


def pose(track: Track, num_frames: int) -> Pose:
    """Interpolate the landmarks of a track to every frame and smooth them.

    The side is 1.4 times the distance of the eyes, or of eyes and mouth where a turned head shortens the first.
    """
    marks = np.stack([face.landmarks for face in track.faces])
    eyes, mouth = marks[:, :2].mean(1), marks[:, 3:].mean(1)
    across = marks[:, 1] - marks[:, 0] + marks[:, 4] - marks[:, 3]
    face_size = np.maximum(np.linalg.norm(marks[:, 1] - marks[:, 0], axis=1), np.linalg.norm(mouth - eyes, axis=1))
    angle = np.unwrap(np.arctan2(across[:, 1], across[:, 0]))
    values = np.column_stack([mouth, SIDE_PER_FACE * face_size, angle])
    smooth = np.column_stack([_every_frame(track.frames, column, num_frames) for column in values.T])
    return Pose(smooth[:, :2], smooth[:, 2], smooth[:, 3], _seen(track.frames, num_frames))


def crop(frame: np.ndarray, centre: np.ndarray, side: float, angle: float) -> np.ndarray:
    """One mouth, uint8 (88, 88), from a grey frame (H, W); large mouths are averaged down, not sampled."""
    fine = max(1, math.ceil(side / CROP))
    step = side / (CROP * fine)
    cosine, sine = step * math.cos(angle), step * math.sin(angle)
    half = CROP * fine / 2
    left, top = centre[0] - half * cosine + half * sine, centre[1] - half * sine - half * cosine
    image = Image.fromarray(np.ascontiguousarray(frame)).transform(
        (CROP * fine, CROP * fine),
        Image.Transform.AFFINE,
        (cosine, -sine, left, sine, cosine, top),
        Image.Resampling.BILINEAR,
    )
    return np.asarray(image.reduce(fine) if fine > 1 else image)


def crops(recording: media.Media, track: Track, num_frames: int) -> Iterator[np.ndarray]:
    """Mouths of a track, one uint8 (1, 88, 88) for each of ``num_frames`` frames; black where the mouth is not seen."""
    place = pose(track, num_frames)
    if not place.seen.any():
        yield from no_crops(num_frames)
        return
    box = _window(recording, place)
    corner = np.array(box[:2])
    index = -1
    for index, frame in zip(range(num_frames), media.frames(recording, crop=box), strict=False):
        if place.seen[index]:
            yield crop(frame, place.centre[index] - corner, place.side[index], place.angle[index])[None]
        else:
            yield from no_crops(1)
    yield from no_crops(num_frames - index - 1)


def no_crops(num_frames: int) -> Iterator[np.ndarray]:
    """As `crops`, of a mouth that is never seen."""
    for _ in range(num_frames):
        yield np.zeros((1, CROP, CROP), np.uint8)


def seen(mouths: np.ndarray) -> np.ndarray:
    """Which of the mouths (V, 88, 88) were seen: bool (V,)."""
    return np.asarray(mouths.any(axis=(1, 2)))


def _every_frame(frames: list[int], values: np.ndarray, num_frames: int) -> np.ndarray:
    return gaussian_filter1d(np.interp(np.arange(num_frames), frames, values), SMOOTH_FRAMES, mode="nearest")


def _seen(frames: list[int], num_frames: int) -> np.ndarray:
    """A frame is seen where detections surround it closely, or one is at most a step away."""
    seen = np.zeros(num_frames, bool)
    for first, second in zip(frames, [*frames[1:], frames[-1]], strict=True):
        near = second - first <= MAX_GAP_FRAMES // 2
        seen[max(0, first - DETECT_EVERY + 1) : (second if near else first) + DETECT_EVERY] = True
    return seen


def _window(recording: media.Media, place: Pose) -> tuple[int, int, int, int]:
    """The smallest part of the picture (left, top, width, height) that holds all mouths of a track."""
    assert recording.picture is not None
    size = np.array([recording.picture.width, recording.picture.height])
    reach = place.side[:, None] * math.sqrt(0.5) + 2
    low = np.clip(np.floor((place.centre - reach)[place.seen].min(0)), 0, size - 2).astype(int)
    high = np.clip(np.ceil((place.centre + reach)[place.seen].max(0)), low + 2, size).astype(int)
    return int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1])
