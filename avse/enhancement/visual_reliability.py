"""Do no harm: where the picture would leave too little of what is heard while the mouth moves, mix in audio alone.

The lips of a stranger, of a late picture or of a face too small silence the wrong voice. What then remains is far
fainter than the mixture, though the mouth moves as if it spoke; the net's answer without picture keeps more.

Legend: `B` batch, `F` frequency bins, `T` STFT frames, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from torch import Tensor

from avse.active_speaker.detection import RESTING_MOTION
from avse.active_speaker.mouth_motion import mouth_change
from avse.config import SAMPLES_PER_FRAME
from avse.dsp.stft import stft
from avse.enhancement.masking import compute_mask
from avse.faces import mouth_roi
from avse.models.net import SpeechNet

HALF_DB, SOFT_DB = -7.3, 0.9
"""Level of what remains, relative to the mixture, at which picture and sound alone count alike, and how softly that
changes: fitted on mixtures of validation speakers (docs/experiments/web-people.md)."""
MIN_MOVING_FRAMES = 15
DOUBTED = 0.5


@dataclass
class VisualReliability:
    """How far the picture was followed in each window, 0 to 1."""

    weights: list[float] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """Say so where the sound alone counted more than the picture."""
        share = float(np.mean([weight < DOUBTED for weight in self.weights])) if self.weights else 0.0
        if share == 0:
            return []
        when = f"for {share:.0%} of the time" if share < 1 else "throughout"
        return [f"The lips would have left too little of the sound {when}: the sound alone counted more there."]


def guard_mask(
    net: SpeechNet, waveforms: np.ndarray, crops: np.ndarray, rms: float, mask: Tensor, reliability: VisualReliability
) -> Tensor:
    """Return masks (B, F, T) that follow the video as far as it is reliable, and the audio alone for the rest.

    Args:
        net: a network with a lip stream.
        waveforms: (B, N), at 16 kHz.
        crops: mouths uint8 (V, 88, 88), black where not visible.
        rms: level of the whole recording.
        mask: what the network answers to all that.
        reliability: takes note of the weight of the video.
    """
    if not crops.any():
        return mask
    spectrum = stft(torch.from_numpy(waveforms[0].copy()), SAMPLES_PER_FRAME, net.config.hop)
    weight = video_weight(spectrum, mask[0], moving_frames(crops))
    reliability.weights.append(weight)
    if weight > 0.99:
        return mask
    return weight * mask + (1 - weight) * compute_mask(net, waveforms, np.zeros_like(crops), rms)


def video_weight(spectrum: Tensor, mask: Tensor, speaking: np.ndarray) -> float:
    """How far to follow the picture, 0 to 1, from a spectrum and its mask (F, T) and when the mouth speaks (V,).

    1 where the mouth hardly speaks: then the net may well silence all that is heard.
    """
    if speaking.sum() < MIN_MOVING_FRAMES:
        return 1.0
    places = np.arange(spectrum.shape[-1]) * len(speaking) // spectrum.shape[-1]
    when = torch.from_numpy(speaking[places])
    before = spectrum[:, when].abs().square().sum()
    after = (spectrum * mask)[:, when].abs().square().sum()
    share = float(after + 1e-9) / float(before + 1e-9)
    if not math.isfinite(share):
        return 1.0  # the output is checked elsewhere
    return 1 / (1 + math.exp(min(50.0, (HALF_DB - 10 * math.log10(share)) / SOFT_DB)))


def moving_frames(crops: np.ndarray) -> np.ndarray:
    """When a mouth (V, H, W) does not rest: bool (V,)."""
    pictures = torch.from_numpy(crops.copy())[None]
    seen = mouth_roi.visible(crops)
    change = mouth_change(pictures, torch.from_numpy(seen)[None])[:, 0].numpy()
    motion = maximum_filter1d(uniform_filter1d(change, 9), 21)
    return np.asarray((motion > RESTING_MOTION) & seen)
