"""Input features of the network: one function for training and use.

Legend: `B` batch, `N` samples, `F` frequency bins, `T` STFT frames, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avse.config import SAMPLES_PER_FRAME, ModelConfig
from avse.dsp.stft import stft
from avse.errors import UsageError
from avse.models.inputs import Inputs

WINDOW = SAMPLES_PER_FRAME
LEVEL = 0.1
SILENT_RMS = 1e-5
"""RMS up to which audio counts as silence."""


def prepare(waveform: Tensor, crops: Tensor, seen: Tensor, level: Tensor, config: ModelConfig) -> Inputs:
    """Compute the network's input from audio and mouth crops.

    Args:
        waveform: (B, N) at 16 kHz, N = 640 V.
        crops: (B, V, H, W) grey, 0..255, 88 pixels a side, or averaged already to ``config.lip_side``.
        seen: (B, V), whether the mouth was seen.
        level: (B,), RMS of the whole recording that each waveform is part of.

    Raises:
        UsageError: audio and video do not have the same length.
    """
    if waveform.shape[-1] != SAMPLES_PER_FRAME * crops.shape[1]:
        raise UsageError(
            f"{waveform.shape[-1]} samples do not match {crops.shape[1]} video frames.",
            f"Pass {SAMPLES_PER_FRAME} samples at 16 kHz for every frame at 25 fps.",
        )
    gain = LEVEL / level.clamp_min(SILENT_RMS)
    present = seen.float()
    pixels = F.avg_pool2d(crops.float(), crops.shape[-1] // config.lip_side)
    return Inputs(stft(waveform * gain[:, None], WINDOW, config.hop), _standardise(pixels, present), present)


def _standardise(pixels: Tensor, seen: Tensor) -> Tensor:
    """Standardise each frame separately, so that no frame depends on the rest of its window."""
    deviation, mean = torch.std_mean(pixels, dim=(-2, -1), keepdim=True)
    return (pixels - mean) / (deviation + 1.0) * seen[..., None, None]
