"""Short-time objective intelligibility (STOI) as a differentiable loss.

Legend: `B` batch, `N` samples, `T` frames of 12.8 ms, `K` bands, `S` segments of 30 frames.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from pystoi.utils import thirdoct
from torch import Tensor

from avse.config import SAMPLE_RATE

WINDOW = 410
HOP = 205
NUM_BINS = 513
SEGMENT = 30
"""Frames that are compared at once: 0.4 s."""
SILENT_DB = 40.0
"""Frames of the reference that lie further than this below the loudest one do not count."""
WORST_DB = -15.0
"""What is worse than this in a band is as bad as can be."""


def stoi_loss(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute 1 minus STOI of (B, N) waveforms at 16 kHz: (B,); 0 where the reference has hardly any speech.

    After Taal, Hendriks, Heusdens, Jensen: an algorithm for intelligibility prediction of time-frequency weighted noisy
    speech (IEEE TASLP, 2011): how the bands' envelopes go together, segment by segment. Unlike there nothing is
    resampled to 10 kHz.
    """
    estimate, reference = _frames(estimate), _frames(reference)
    energy = reference.square().sum(1)
    is_active = energy > (energy.amax(1, keepdim=True) * 10 ** (-SILENT_DB / 10)).clamp_min(1e-6)
    estimate, reference = (_segments(x, is_active) for x in (estimate, reference))
    estimate = estimate * (_norm(reference) / _norm(estimate))
    estimate = torch.minimum(estimate, reference * (1 + 10 ** (-WORST_DB / 20)))
    estimate, reference = (x - x.mean(-1, keepdim=True) for x in (estimate, reference))
    correlation = (estimate * reference).sum(-1) / (_norm(estimate) * _norm(reference))[..., 0]  # (B, K, S)
    counts = torch.arange(correlation.shape[-1], device=correlation.device) + SEGMENT <= is_active.sum(1, keepdim=True)
    loss = (1 - correlation.mean(1)) * counts
    return loss.sum(1) / counts.sum(1).clamp_min(1)


def _frames(waveform: Tensor) -> Tensor:
    """Compute magnitudes in third-octave bands (B, K, T) from 150 Hz up, padded to a segment at least."""
    waveform = F.pad(waveform, (0, max(0, 2 * (NUM_BINS - 1) + (SEGMENT - 1) * HOP - waveform.shape[1])))
    window = torch.hann_window(WINDOW, device=waveform.device)
    spectrum = torch.stft(waveform.float(), 2 * (NUM_BINS - 1), HOP, WINDOW, window, center=False, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    with torch.autocast(waveform.device.type, enabled=False):
        return (_bands(waveform.device) @ power + 1e-9).sqrt()


@lru_cache(maxsize=4)
def _bands(device: torch.device) -> Tensor:
    """Return which bins belong to which band (K, 513)."""
    belongs, _ = thirdoct(SAMPLE_RATE, 2 * (NUM_BINS - 1), 15, 150)
    return torch.from_numpy(belongs).float().to(device)


def _segments(bands: Tensor, is_active: Tensor) -> Tensor:
    """Return all segments (B, K, S, 30) after silent frames are moved to the end."""
    order = torch.argsort((~is_active).to(torch.uint8), dim=1, stable=True)[:, None].expand_as(bands)
    return bands.gather(2, order).unfold(2, SEGMENT, 1)


def _norm(x: Tensor) -> Tensor:
    return (x.square().sum(-1, keepdim=True) + 1e-12).sqrt()
