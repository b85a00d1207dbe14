"""The target speaker: a face track, the gain over its mask, and its AV offset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avse.faces.tracking import Track


@dataclass(frozen=True)
class TargetSpeaker:
    """Whom one follows: a face, a gain (V,) to lay over its mask, and by how many frames the picture is late.

    ``lag_frames`` and ``agreement``, how well lips and sound go together, are None where that was not looked for.
    ``mouths``, where they are being decoded already, are those of `avse.faces.mouth_roi.crop_tracks`.
    """

    track: Track
    gain: np.ndarray | None = None
    av_offset_frames: int | None = None
    agreement: float | None = None
    mouths: Iterator[np.ndarray] | None = None
