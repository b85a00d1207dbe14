"""The target speaker: a face track, the gain over its mask, and its AV offset."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avse.faces.tracking import Track


@dataclass(frozen=True)
class TargetSpeaker:
    """Hold the face track of a target speaker.

    Attributes:
        track: where the face is in each frame.
        gain: (V,), applied to the mask, one value for each video frame; None is 1 everywhere.
        alone: (V,) bool, when no other mouth may explain the audio; None is always.
        av_offset_frames: frames by which the video comes later than the audio; None if not estimated yet.
        av_correlation: correlation of the lips with the audio; None if not measured.
    """

    track: Track
    gain: np.ndarray | None = None
    alone: np.ndarray | None = None
    av_offset_frames: int | None = None
    av_correlation: float | None = None
