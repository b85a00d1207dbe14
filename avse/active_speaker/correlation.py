"""Correlation of lips and audio: band energies predicted from the mouth crops against those of the recorded audio.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from avse import features
from avse.config import NUM_BANDS, SAMPLES_PER_FRAME
from avse.dsp.stft import band_energies
from avse.models.net import SpeechNet

LOCAL_MEAN_FRAMES = 13


def av_correlation(told: np.ndarray, energies: np.ndarray, seen: np.ndarray) -> float:
    """Correlation of what lips tell with what is heard, both (V, bands), over all bands and the frames seen (V,)."""
    return correlate(remove_local_mean(told, seen)[seen], remove_local_mean(energies, seen)[seen])


def remove_local_mean(values: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
    """What changes from syllable to syllable: values (V, bands) less their mean within half a second, where seen (V,).

    How loud a sentence is on the whole, lips do not tell; left in, that blurs when its syllables come.
    """
    weight = np.ones((len(values), 1), np.float32) if seen is None else seen[:, None].astype(np.float32)
    values = values - (values * weight).sum(0) / max(weight.sum(), 1)  # what never changes leaves exactly nothing
    total, count = (uniform_filter1d(x, LOCAL_MEAN_FRAMES, axis=0, mode="constant") for x in (values * weight, weight))
    return np.asarray((values - total / np.maximum(count, 1e-6)) * weight, np.float32)


def correlate(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of two that vary about 0; 0 where one does not vary."""
    return float((a * b).sum() / np.sqrt(np.square(a).sum() * np.square(b).sum() + 1e-9))


def shift_frames(values: np.ndarray, frames: int) -> np.ndarray:
    """Rows (V, ...) that come ``frames`` later, or earlier; the ends are repeated."""
    return np.asarray(values[np.clip(np.arange(len(values)) - frames, 0, len(values) - 1)])


@torch.inference_mode()
def predict_bands(net: SpeechNet, pictures: Tensor) -> Tensor:
    """What mouths (K, V, 88, 88) tell of the sound, without hearing it: energies (V, K, bands)."""
    assert net.lips is not None
    device = next(net.parameters()).device
    silence = torch.zeros(len(pictures), pictures.shape[1] * SAMPLES_PER_FRAME, device=device)
    seen = pictures.flatten(2).any(-1).to(device)
    inputs = features.prepare(silence, pictures.to(device), seen, silence[:, 0], net.config)
    told: Tensor = net.lips(inputs.lips)
    return told.permute(2, 0, 1).cpu()


def mel_energies(sound: Tensor) -> Tensor:
    """Band energies (V, bands) of sound (N,) at 16 kHz."""
    return band_energies(sound[None], NUM_BANDS, SAMPLES_PER_FRAME)[0].T
