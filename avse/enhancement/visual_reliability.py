"""Detect unreliable video, and mix in the mask that the network computes from the audio alone.

Two cases count as unreliable. Either a mouth moves and the output is far quieter than the mixture: the lips belong to
another person, are late or too small, so that the wrong voice is removed. Or a mouth hardly moves and the
network still keeps the audio: a hand or mask hides the mouth, or the video is frozen.

Legend: `B` batch, `F` frequency bins, `T` STFT frames, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avse.active_speaker.detection import RESTING_MOTION
from avse.active_speaker.mouth_motion import mouth_change
from avse.config import SAMPLES_PER_FRAME
from avse.dsp.filters import moving_average, moving_maximum
from avse.dsp.stft import stft
from avse.enhancement.masking import compute_mask, interpolate_gain
from avse.faces import mouth_roi
from avse.models.net import SpeechNet

HALF_DB, HALF_DB_PER_OCTAVE, SOFT_DB = -7.5, -3.0, 0.7
"""Level of the output relative to the mixture at which video and audio have equal weight, for a mouth that changes
by ``TYPICAL_CHANGE``; its difference for a mouth that changes twice as much; and the softness of the transition.
Fitted on mixtures of validation speakers (docs/experiments/web-people.md)."""
TYPICAL_CHANGE = 0.13
RESTING_DB, RESTING_CHANGE = -9.0, 0.06
"""Output level below which a mouth at rest is reliable; and the change below which a moving mouth counts as
at rest. 3 % of the mouths of validation speakers change less; masks and hands do."""
MIN_MOVING_FRAMES, MIN_RESTING_FRAMES = 15, 30
DOUBTED = 0.5
RAMP_FRAMES = 5


@dataclass
class VisualReliability:
    """Record the weight of the video in each window, 0 to 1."""

    weights: list[float] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """Return a warning for each target whose audio counted more than the video."""
        share = float(np.mean([weight < DOUBTED for weight in self.weights])) if self.weights else 0.0
        if share == 0:
            return []
        when = f"for {share:.0%} of the time" if share < 1 else "throughout"
        return [f"The lips were unreliable {when}; the audio counted more there."]


class MouthMotion(NamedTuple):
    """Hold the motion of a mouth in V frames: its change from frame to frame, when it moves, when it is visible."""

    change: np.ndarray
    moving: np.ndarray
    visible: np.ndarray


def reliable_mask(
    net: SpeechNet, audio_net: SpeechNet, waveforms: np.ndarray, crops: np.ndarray, rms: float,
    reliability: VisualReliability | None, alone: np.ndarray | None = None,
) -> Tensor:  # fmt: skip
    """Compute the masks (B, F, T) of one window: by ``audio_net`` if no mouth is visible in it, else by ``net``.

    With ``reliability`` the video counts as far as it is reliable; the other arguments are those of
    `weight_by_reliability`.
    """
    mask = compute_mask(net if crops.any() else audio_net, waveforms, crops, rms)
    if reliability is None or net.lips is None:
        return mask
    return weight_by_reliability(net, waveforms, crops, rms, mask, reliability, alone)


def weight_by_reliability(
    net: SpeechNet, waveforms: np.ndarray, crops: np.ndarray, rms: float, mask: Tensor, reliability: VisualReliability,
    alone: np.ndarray | None = None,
) -> Tensor:  # fmt: skip
    """Return masks (B, F, T) in which the video counts as far as it is reliable, and the audio alone for the rest.

    Args:
        net: a network with a lip stream.
        waveforms: (B, N), at 16 kHz.
        crops: mouths (V, H, W), black where not visible.
        rms: level of the whole recording.
        mask: the network's output for these inputs.
        reliability: records the weight of the video.
        alone: (V,) bool, when no other mouth may explain the audio. Only there the video is doubted; None is always.
    """
    motion = measure_motion(crops)
    if alone is not None:
        motion = motion._replace(moving=motion.moving & alone)
    if not crops.any() or (alone is not None and motion.moving.sum() < MIN_MOVING_FRAMES):
        reliability.weights.append(1.0)
        return mask
    spectrum = stft(torch.from_numpy(waveforms[0].copy()), SAMPLES_PER_FRAME, net.config.hop)
    weight = video_weight(spectrum, mask[0], motion)
    reliability.weights.append(weight)
    if weight > 0.99:
        return mask
    doubt: Tensor | float = 1 - weight
    if alone is not None:
        doubt = doubt * interpolate_gain(moving_average(alone.astype(np.float32), RAMP_FRAMES), mask.shape[-1])
    return mask + doubt * (compute_mask(net, waveforms, np.zeros_like(crops), rms) - mask)


def video_weight(spectrum: Tensor, mask: Tensor, motion: MouthMotion) -> float:
    """Compute the weight of the video, 0 to 1, from a spectrum and its mask, both (F, T)."""
    change = float(motion.change[motion.moving].mean()) if motion.moving.sum() >= MIN_MOVING_FRAMES else 0.0
    if change >= RESTING_CHANGE:
        octaves = math.log2(change / TYPICAL_CHANGE)
        excess = _output_level_db(spectrum, mask, motion.moving) - HALF_DB - HALF_DB_PER_OCTAVE * octaves
    elif motion.visible.sum() >= MIN_RESTING_FRAMES:
        excess = RESTING_DB - _output_level_db(spectrum, mask, motion.visible)
    else:
        return 1.0  # too short to judge
    return 1 / (1 + math.exp(-min(50.0, max(-50.0, excess / SOFT_DB)))) if math.isfinite(excess) else 1.0


def _output_level_db(spectrum: Tensor, mask: Tensor, when: np.ndarray) -> float:
    """Compute the level of the output in the video frames ``when`` (V,), relative to the mixture, in dB."""
    frames = torch.from_numpy(when[np.arange(spectrum.shape[-1]) * len(when) // spectrum.shape[-1]])
    before, after = (values[:, frames].abs().square().sum() for values in (spectrum, spectrum * mask))
    share = float(after + 1e-9) / float(before + 1e-9)
    return 10 * math.log10(share) if math.isfinite(share) else math.nan  # the output is checked elsewhere


def measure_motion(crops: np.ndarray) -> MouthMotion:
    """Measure the motion of a mouth (V, H, W); it moves whenever it is not at rest."""
    visible = mouth_roi.visible(crops)
    change = mouth_change(torch.from_numpy(crops.copy())[None], torch.from_numpy(visible)[None])[:, 0].numpy()
    motion = moving_maximum(moving_average(change, 9), 21)
    return MouthMotion(change, np.asarray((motion > RESTING_MOTION) & visible), visible)
