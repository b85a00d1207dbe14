"""Correlation of lips and audio: band energies predicted from the mouth crops against those of the recording.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avse import features
from avse.config import NUM_BANDS, SAMPLES_PER_FRAME
from avse.dsp.filters import moving_average
from avse.dsp.stft import band_energies
from avse.errors import UsageError
from avse.models.net import SpeechNet

LOCAL_MEAN_FRAMES = 13


def av_correlation(predicted: np.ndarray, energies: np.ndarray, visible: np.ndarray) -> float:
    """Compute the correlation of predicted and recorded energies, both (V, bands), over the visible frames (V,)."""
    return correlate(remove_local_mean(predicted, visible)[visible], remove_local_mean(energies, visible)[visible])


def remove_local_mean(values: np.ndarray, visible: np.ndarray | None = None) -> np.ndarray:
    """Subtract from values (V, bands) their mean within half a second, over the visible frames (V,).

    The remainder changes from syllable to syllable. Slow changes of level cannot be predicted from the lips, and would
    blur the peak of the correlation.
    """
    weight = np.ones((len(values), 1), np.float32) if visible is None else visible[:, None].astype(np.float32)
    values = values - (values * weight).sum(0) / max(weight.sum(), 1)  # a constant leaves exactly zero
    total, count = (moving_average(x, LOCAL_MEAN_FRAMES, axis=0, mode="constant") for x in (values * weight, weight))
    return np.asarray((values - total / np.maximum(count, 1e-6)) * weight, np.float32)


def correlate(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the correlation of two arrays of zero mean; 0 where one is constant."""
    return float((a * b).sum() / np.sqrt(np.square(a).sum() * np.square(b).sum() + 1e-9))


def shift_frames(values: np.ndarray, frames: int) -> np.ndarray:
    """Delay rows (V, ...) by ``frames``, or advance them if negative; the ends are repeated."""
    return np.asarray(values[np.clip(np.arange(len(values)) - frames, 0, len(values) - 1)])


@torch.inference_mode()
def predict_bands(net: SpeechNet, mouths: Tensor) -> Tensor:
    """Predict band energies (V, K, bands) from mouth crops (K, V, H, W) alone.

    Raises:
        UsageError: the network has no lip stream.
    """
    if net.lips is None:
        raise UsageError("An audio-only model has no lip stream.", "Use an audio-visual model, such as avse.")
    device = next(net.parameters()).device
    silence = torch.zeros(len(mouths), mouths.shape[1] * SAMPLES_PER_FRAME, device=device)
    visible = mouths.flatten(2).any(-1).to(device)
    inputs = features.prepare(silence, mouths.to(device), visible, silence[:, 0], net.config)
    predicted: Tensor = net.lips(inputs.lips)
    return predicted.permute(2, 0, 1).cpu()


def mel_energies(waveform: Tensor) -> Tensor:
    """Compute band energies (V, bands) of a waveform (N,) at 16 kHz."""
    return band_energies(waveform[None], NUM_BANDS, SAMPLES_PER_FRAME)[0].T
