"""Freeze detection: distinguish frozen video from a person who sits still."""

from __future__ import annotations

import numpy as np

from avse.faces.tracking import Face

FROZEN_LEVELS, FROZEN_FRAME_SHARE, FROZEN_FACE_SHARE = 2, 0.002, 0.05
"""Change of grey levels due to coding, and largest shares of a frozen frame, and of its face, with larger changes.
In real recordings at least 0.8 % of the frame changes within a fifth of a second (320 pixels, crf 38)."""


def changed_pixels(before: np.ndarray | None, frame: np.ndarray) -> np.ndarray:
    """Return which pixels (H, W) changed by more than coding explains; all of them in a first frame."""
    if before is None:
        return np.ones(frame.shape, bool)
    return np.asarray(np.abs(frame.astype(np.int16) - before) > FROZEN_LEVELS)


def is_frozen(face: Face, changed: np.ndarray) -> bool:
    """Return whether the frame and the lower half of the face are frozen; people at rest still move slightly."""
    left, top, right, bottom = np.clip(face.box, 0, np.tile(changed.shape[::-1], 2) - 1).astype(int)
    mouth = changed[(top + bottom) // 2 : bottom + 1, left : right + 1]
    return bool(changed.mean() < FROZEN_FRAME_SHARE and mouth.mean() < FROZEN_FACE_SHARE)
