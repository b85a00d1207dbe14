"""Video frames in memory: arrays, tensors, lists of frames and Pillow images as one array.

Legend: `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from torch import Tensor

from avse.config import VIDEO_FPS
from avse.errors import UsageError, short_repr
from avse.io.tensors import plain_array

Colour = Literal["rgb", "bgr"]
LOWEST_FPS, HIGHEST_FPS = 0.01, 100_000.0
"""Range of frames per second; longer frames are not a video."""
_HINT = "Pass uint8: (V, H, W) grey, (V, H, W, 3) or (V, 3, H, W) colour, or a list of frames of one size."


def stack_frames(frames: Any, colour: Colour = "rgb") -> np.ndarray:
    """Return frames as one array, grey (V, H, W) or RGB (V, H, W, 3), uint8.

    Takes an array or a tensor, or a sequence of arrays, tensors or Pillow images of one size; ``colour`` is the order
    of their colours.

    Raises:
        UsageError: type, shape or colour order cannot be used.
    """
    check_colour(colour)
    stacked = _stacked(frames)
    if stacked.ndim == 3 and stacked.shape[2] in (3, 4):
        raise UsageError(f"Frames of shape {stacked.shape} are one colour image.", "Pass a list of frames: [frame].")
    if stacked.ndim == 4 and stacked.shape[1] == 3 and stacked.shape[3] != 3:
        stacked = np.moveaxis(stacked, 1, 3)
    if stacked.ndim == 4 and stacked.shape[3] == 1:
        stacked = stacked[..., 0]
    is_colour = stacked.ndim == 4 and stacked.shape[3] == 3
    if stacked.dtype != np.uint8 or not (stacked.ndim == 3 or is_colour):
        raise UsageError(f"Frames of shape {stacked.shape} and type {stacked.dtype} are not supported.", _HINT)
    if 0 in stacked.shape[1:3]:
        raise UsageError(f"Frames of shape {stacked.shape} have no pixels.", _HINT)
    return np.ascontiguousarray(stacked[..., ::-1] if is_colour and colour == "bgr" else stacked)


def check_colour(colour: Any) -> None:
    """Raise UsageError for an unknown colour order."""
    if not isinstance(colour, str) or colour not in ("rgb", "bgr"):
        raise UsageError(f"The colour order is {short_repr(colour)}.", 'Use "rgb" or "bgr".')


def check_fps(fps: Any) -> float:
    """Return a frame rate as a number. UsageError for any other value."""
    try:
        rate = float(fps) if not isinstance(fps, str | bytes | bool) and np.ndim(fps) == 0 else 0.0
    except Exception:  # a foreign object may raise anything
        rate = 0.0
    if not LOWEST_FPS <= rate <= HIGHEST_FPS:
        raise UsageError(f"The frame rate is {short_repr(fps)}.", "Pass fps, the frames per second, such as 25.")
    return rate


def shown_frames(num_frames: int, fps: float) -> np.ndarray:
    """Return which frame is shown in each 25th of a second: the last whose own, rounded, time has come."""
    comes = np.floor(np.arange(num_frames + 1) * VIDEO_FPS / fps + 0.5).astype(int)
    return np.searchsorted(comes[:-1], np.arange(comes[-1]), side="right") - 1


def _stacked(frames: Any) -> np.ndarray:
    if isinstance(frames, Tensor | np.ndarray):
        return plain_array(frames, "Frames", _HINT)
    try:
        images = [plain_array(frame, "A frame", _HINT) for frame in frames]
    except TypeError as error:
        raise UsageError(f"Frames cannot be a {type(frames).__name__}.", _HINT) from error
    if len(shapes := {image.shape for image in images}) > 1:
        raise UsageError(f"The frames have different shapes: {sorted(shapes)}.", _HINT)
    return np.stack(images) if images else np.zeros((0, 2, 2), np.uint8)
