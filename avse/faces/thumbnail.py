"""Thumbnails of faces."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from PIL import Image

from avse.config import VIDEO_FPS
from avse.faces.alignment import aligned_crop
from avse.faces.tracking import Face, Track
from avse.io import reader

SIDE = 192
SIDE_PER_BOX = 1.4
WITHIN_SECONDS = 20


def face_thumbnails(
    recording: reader.Recording, tracks: Sequence[Track], on_frame: Callable[[int, int], None] | None = None
) -> list[bytes | None]:
    """Return the best view of each face in its first visible seconds: aligned, 192 x 192, as PNG,
    in colour where the video has colour.

    None if the video ends before that. The best view has a large face with a high score. The video is decoded once,
    up to the last of these views. ``on_frame`` is called with the index of each frame and of the last one.
    """
    views, found = [_best_view(track) for track in tracks], dict[int, bytes]()
    last = max((index for index, _ in views), default=-1)
    for index, frame in enumerate(islice(reader.read_colour_frames(recording), last + 1)):
        if on_frame:
            on_frame(index, last)
        found |= {k: _aligned_png(frame, face) for k, (wanted, face) in enumerate(views) if wanted == index}
    return [found.get(k) for k in range(len(tracks))]


def _best_view(track: Track) -> tuple[int, Face]:
    """Return the frame and the detection that show a face best."""
    early = [k for k, index in enumerate(track.frames) if index <= track.frames[0] + WITHIN_SECONDS * VIDEO_FPS]
    best = max(early, key=lambda k: _quality(track.faces[k]))
    return track.frames[best], track.faces[best]


def _aligned_png(frame: np.ndarray, face: Face) -> bytes:
    """Return the aligned face as PNG."""
    low, high = face.box[:2], face.box[2:]
    across = face.landmarks[1] - face.landmarks[0]
    side = SIDE_PER_BOX * float((high - low).max())
    cut = aligned_crop(frame, (low + high) / 2, side, math.atan2(across[1], across[0]), SIDE)
    file = io.BytesIO()
    Image.fromarray(cut).save(file, "PNG", optimize=True)
    return file.getvalue()


def _quality(face: Face) -> float:
    return float(face.score * np.prod(face.box[2:] - face.box[:2]))
