"""The disturbance of PESQ (ITU-T P.862) as a differentiable loss.

Legend: `B` batch, `N` samples, `T` frames of 32 ms, `K` bands.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

# fmt: off
BINS = (
    1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 3, 4, 5, 4, 5, 6, 6, 7, 8,
    9, 9, 12, 12, 15, 16, 18, 21, 25, 20,
)
"""How many bins of 31.25 Hz each band holds, 49 bands from 0 to 8 kHz (P.862, table for 16 kHz)."""
THRESHOLD_DB = (
    77.1, 63.9, 48.5, 36.9, 30.7, 25.9, 20.2, 16.6, 12.5, 9.9, 6.9, 4.9, 2.8, 1.0, -0.1, -1.4, -2.5, -3.4, -4.1, -4.8,
    -5.3, -5.7, -5.9, -6.0, -6.0, -6.0, -6.0, -5.8, -5.4, -5.1, -4.7, -4.3, -4.0, -3.6, -3.3, -3.1, -3.0, -3.0, -2.9,
    -2.8, -2.8, -2.8, -2.9, -3.2, -3.7, -4.3, -4.4, -3.8, -2.7,
)
"""Threshold of hearing: power of the faintest audible sound in each band."""
# fmt: on
DENSITY = 3.3e-3
"""From the power of a band's bins to the unit of those thresholds, in which samples of speech have a power of 1e7."""


def pesq_loss(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute the PESQ disturbance of (B, N) waveforms at 16 kHz, of 32 ms or longer: (B,); 0 for equal waveforms,
    and where the reference is silent.

    After PESQ (ITU-T P.862 and P.862.2), whose raw score is 4.5 less this: a difference of loudness counts in each
    band as far as it is not masked, and what was added counts more than what is missing. Unlike PESQ it takes both as
    aligned in time, and its bands as alike in density; it has a gradient everywhere.
    """
    estimate, reference = _bands(estimate), _bands(reference)
    threshold = 10 ** (reference.new_tensor(THRESHOLD_DB)[:, None] / 10)
    is_active = _total(reference, 100 * threshold) > 1e7
    reference = _compensate_filter(estimate, reference, threshold, is_active)
    estimate = _compensate_gain(estimate, reference, threshold)
    difference = _masked_difference(_loudness(estimate, threshold), _loudness(reference, threshold))
    asymmetry = ((estimate + 50) / (reference + 50)) ** 1.2
    asymmetry = torch.where(asymmetry < 3, 0, asymmetry).clamp(max=12)
    frame_weight = ((_total(reference, threshold) + 1e5) / 1e7) ** 0.04
    width = _widths(reference)
    symmetric = ((difference * width).square().sum(-2, keepdim=True) * width.sum() + 1e-9).sqrt() / frame_weight
    asymmetric = (difference.abs() * asymmetry * width).sum(-2, keepdim=True) / frame_weight
    return (0.1 * _over_time(symmetric) + 0.0309 * _over_time(asymmetric)) * is_active.any(-1)[:, 0]


def _compensate_filter(estimate: Tensor, reference: Tensor, threshold: Tensor, is_active: Tensor) -> Tensor:
    """Give the reference the estimate's mean power in each band, within 20 dB: a constant filter does not count."""
    powers = [(x * ((x > 100 * threshold) & is_active)).mean(-1, keepdim=True) + 1e3 for x in (estimate, reference)]
    return reference * (powers[0] / powers[1]).clamp(0.01, 100)


def _compensate_gain(estimate: Tensor, reference: Tensor, threshold: Tensor) -> Tensor:
    """Give each frame of the estimate the reference's audible power, smoothed: slow changes of gain do not count."""
    gain = (_total(reference, threshold) + 5e3) / (_total(estimate, threshold) + 5e3)
    gain = torch.cat([gain[..., :1], 0.8 * gain[..., 1:] + 0.2 * gain[..., :-1]], -1).clamp(3e-4, 5)
    return estimate * gain


def _masked_difference(estimate: Tensor, reference: Tensor) -> Tensor:
    """Return the difference of two loudness densities, less what masking hides: a quarter of the smaller one."""
    masked = 0.25 * torch.minimum(estimate, reference)
    return (estimate - reference) - (estimate - reference).clamp(-masked, masked)


def _bands(waveform: Tensor) -> Tensor:
    """Compute band powers (B, K, T), with all speech brought to one level."""
    window = torch.hann_window(512, device=waveform.device)
    spectrum = torch.stft(waveform.float(), 512, 256, window=window, center=False, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    level = power[:, 11:105].sum(1, keepdim=True).mean(-1, keepdim=True) * (2 / 512 / window.square().sum())
    with torch.autocast(waveform.device.type, enabled=False):
        shared = _shares(waveform.device) @ power
    return shared * (1e7 * DENSITY / (level + 1e-6))


@lru_cache(maxsize=4)
def _shares(device: torch.device) -> Tensor:
    """Return the share of each bin's power that belongs to each band (K, 257), weighted down below 100 Hz."""
    frequency = torch.arange(257, device=device) * 31.25
    band = torch.repeat_interleave(torch.tensor([*BINS, 257 - sum(BINS)], device=device))
    belongs = band == torch.arange(len(BINS), device=device)[:, None]
    return belongs * frequency**4 / (frequency**4 + 100.0**4)


def _total(bands: Tensor, least: Tensor) -> Tensor:
    """Sum the powers above a threshold over the bands: (B, 1, T)."""
    return (bands * (bands > least)).sum(1, keepdim=True)


def _loudness(bands: Tensor, threshold: Tensor) -> Tensor:
    """Compute loudness densities in sone (B, K, T) by Zwicker's law."""
    bark = _widths(bands).cumsum(0)
    power = 0.23 * (6 / (bark + 2)).clamp(1, 2) ** 0.15
    sones = 0.187 * (2 * threshold) ** power * ((0.5 + 0.5 * bands / threshold) ** power - 1)
    return torch.where(bands > threshold, sones, 0)


def _widths(like: Tensor) -> Tensor:
    """Return the width of each band in Bark (K, 1)."""
    return 0.314 * 1.0136 ** torch.arange(len(BINS), device=like.device)[:, None]


def _over_time(disturbed: Tensor) -> Tensor:
    """Average (B, 1, T) over time: L6 norms over blocks of 20 frames, then the L2 norm of the blocks: (B,)."""
    blocks = disturbed[:, 0].clamp(max=45).unfold(-1, min(20, disturbed.shape[-1]), 10)
    return ((blocks**6).mean(-1) + 1e-9).pow(1 / 3).mean(-1).sqrt()
