"""Training losses, named like paths: ``spec/...`` on spectra, ``wave/...`` on samples, ``lips/...`` on the lip stream.

Legend: `B` batch, `N` samples, `F` frequency bins, `T` STFT frames, `V` video frames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute the scale-invariant signal-to-distortion ratio in dB (Le Roux et al., 2019) of (B, N) pairs: (B,)."""
    estimate = estimate - estimate.mean(-1, keepdim=True)
    reference = reference - reference.mean(-1, keepdim=True)
    energy = reference.square().sum(-1, keepdim=True) + 1e-8
    projection = (estimate * reference).sum(-1, keepdim=True) / energy * reference
    noise = (estimate - projection).square().sum(-1)
    return 10 * torch.log10((projection.square().sum(-1) + 1e-8) / (noise + 1e-8))


def magnitude_loss(estimate: Tensor, reference: Tensor, power: float) -> Tensor:
    """Compute the mean squared error of compressed magnitudes; spectra complex (B, F, T)."""
    return F.mse_loss(_compressed(estimate, power).abs(), _compressed(reference, power).abs())


def asymmetric_loss(estimate: Tensor, reference: Tensor, power: float) -> Tensor:
    """Compute `magnitude_loss` of what the estimate lacks only: it penalises removed speech, not residual noise.

    The asymmetric loss of VoiceFilter-Lite (Wang et al., 2020; arXiv:2009.04323), as a term of its own.
    """
    return F.relu(_compressed(reference, power).abs() - _compressed(estimate, power).abs()).square().mean()


def complex_loss(estimate: Tensor, reference: Tensor, power: float) -> Tensor:
    """Compute the mean squared distance of compressed spectra, phase included; spectra complex (B, F, T)."""
    return (_compressed(estimate, power) - _compressed(reference, power)).abs().square().mean()


def energy_targets(energies: Tensor) -> Tensor:
    """Normalise band energies (B, bands, V) in dB: relative to their clip's mean, in units of 10 dB."""
    return (energies - energies.mean((-2, -1), keepdim=True)) / 10


def correlation(estimate: Tensor, reference: Tensor) -> Tensor:
    """Compute the correlation over time of (B, bands, V), each band about its mean, averaged over bands and clips."""
    a = estimate - estimate.mean(-1, keepdim=True)
    b = reference - reference.mean(-1, keepdim=True)
    return ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1) + 1e-6)).mean()


def _compressed(spectrum: Tensor, power: float) -> Tensor:
    """Raise the magnitude of a spectrum to ``power``, smooth at 0."""
    return spectrum * (spectrum.real.square() + spectrum.imag.square() + 1e-8) ** ((power - 1) / 2)
