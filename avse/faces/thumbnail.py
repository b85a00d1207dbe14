"""A thumbnail of the target speaker's face."""

from __future__ import annotations

import io
import math
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


def face_thumbnail(recording: reader.Recording, track: Track) -> bytes | None:
    """Return the best view of a face in its first visible seconds: aligned, grey, 192 x 192, as PNG.

    None if the picture ends before that. The best is the largest and surest; frames after it are not decoded.
    """
    early = [k for k, index in enumerate(track.frames) if index <= track.frames[0] + WITHIN_SECONDS * VIDEO_FPS]
    best = max(early, key=lambda k: _worth(track.faces[k]))
    frame = next(islice(reader.read_frames(recording), track.frames[best], None), None)
    if frame is None:
        return None
    face = track.faces[best]
    low, high = face.box[:2], face.box[2:]
    across = face.landmarks[1] - face.landmarks[0]
    side = SIDE_PER_BOX * float((high - low).max())
    cut = aligned_crop(frame, (low + high) / 2, side, math.atan2(across[1], across[0]), SIDE)
    file = io.BytesIO()
    Image.fromarray(cut).save(file, "PNG", optimize=True)
    return file.getvalue()


def _worth(face: Face) -> float:
    return float(face.score * np.prod(face.box[2:] - face.box[:2]))
