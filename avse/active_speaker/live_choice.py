"""Choose the active speaker and the AV offset of a stream from its beginning.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from avse.active_speaker.detection import measure_activity
from avse.active_speaker.selection import most_active
from avse.faces.mouth_roi import CROP_SIZE
from avse.models.net import SpeechNet

CHOICE_FRAMES, OFFSET_FRAMES = 200, 400
"""Frames of a stream that are compared for the speaker only, and for speaker and AV offset: matching lips and audio
are distinguished from others in 5 to 10 s, their offset in 10 to 20 s (docs/experiments/recordings.md)."""
MAX_LIVE_FACES = 4


def choose_live(
    net: SpeechNet, waveform: np.ndarray, crops: np.ndarray, av_offset_frames: int | None = None
) -> tuple[int, int]:
    """Return the index of the face whose lips match the audio best, and its AV offset in frames.

    Args:
        net: a network with a lip stream.
        waveform: (N,), at 16 kHz, N = 640 V.
        crops: (V, K, 88, 88), black where a mouth is not visible.
        av_offset_frames: the AV offset where it is known; None estimates it.
    """
    mouths = F.avg_pool2d(torch.from_numpy(crops).float(), CROP_SIZE // net.config.lip_side).numpy()
    activity = measure_activity(net, waveform, mouths, av_offset_frames)
    return most_active(activity), activity.av_offset_frames
