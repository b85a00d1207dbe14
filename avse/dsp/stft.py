"""STFT and inverse STFT on a grid that fits video frames exactly.

The window is one video frame (40 ms) at any rate; STFT frame t is centred at (t + 1/2) hops, so that every video frame
holds a whole number of STFT frames, and N samples give exactly N / hop of them.

Legend: `B` batch (any leading dimensions), `N` samples, `F` frequency bins, `T` STFT frames.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def stft(waveform: Tensor, window_size: int, hop: int) -> Tensor:
    """Compute the spectrum (B, F, T) of (B, N), N a multiple of ``hop``; F = window_size // 2 + 1, T = N / hop."""
    pad = (window_size - hop) // 2
    padded = F.pad(waveform, (pad, window_size - hop - pad))
    blocks = padded.unfold(-1, window_size, hop) * _window(window_size, waveform)
    return torch.fft.rfft(blocks).transpose(-1, -2)


def istft(spectrum: Tensor, window_size: int, hop: int) -> Tensor:
    """Compute the waveform (B, T * hop) of a complex spectrum (B, F, T); the exact inverse of `stft`."""
    window = _window(window_size, spectrum.real)
    blocks = torch.fft.irfft(spectrum.transpose(-1, -2), window_size) * window
    num_frames = blocks.shape[-2]
    weights = _overlap_add((window**2).expand(1, num_frames, window_size), hop)
    total = _overlap_add(blocks.reshape(-1, num_frames, window_size), hop) / weights.clamp_min(1e-8)
    pad = (window_size - hop) // 2
    return total[:, pad : pad + num_frames * hop].reshape(*spectrum.shape[:-2], num_frames * hop)


def band_energies(waveform: Tensor, num_bands: int, samples_per_frame: int) -> Tensor:
    """Compute log energies (B, num_bands, V) in dB of mel bands up to 8 kHz, one for each video frame.

    ``waveform`` is (B, N) at 16 kHz. Anything 60 dB below the loudest value of a clip counts as silent.
    """
    power = stft(waveform, samples_per_frame, samples_per_frame).abs().square()
    bank = mel_filter_bank(power.shape[-2], 60.0, 8000.0, num_bands, 16000)
    energies = 10 * torch.log10(torch.einsum("bft,fm->bmt", power, bank.to(power)) + 1e-10)
    return torch.maximum(energies, energies.amax((-2, -1), keepdim=True) - 60)


def mel_filter_bank(num_bins: int, low_hz: float, high_hz: float, num_bands: int, sample_rate: int) -> Tensor:
    """Return triangular mel bands (num_bins, num_bands) on the HTK scale, the same as those of torchaudio.

    Loading torchaudio for it would add a tenth of a second to the start of every command.
    """
    low, high = (2595.0 * math.log10(1.0 + hz / 700.0) for hz in (low_hz, high_hz))
    edges = 700.0 * (10.0 ** (torch.linspace(low, high, num_bands + 2) / 2595.0) - 1.0)
    slopes = edges[None] - torch.linspace(0, sample_rate // 2, num_bins)[:, None]
    width = edges[1:] - edges[:-1]
    rise, fall = -slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]
    return torch.minimum(rise, fall).clamp_min(0.0)


def _window(size: int, like: Tensor) -> Tensor:
    """Return the square root of a periodic Hann window, used for analysis and synthesis."""
    return torch.hann_window(size, dtype=like.dtype, device=like.device).sqrt()


def _overlap_add(blocks: Tensor, hop: int) -> Tensor:
    """Sum blocks (B, T, W) laid ``hop`` apart: (B, W + (T - 1) * hop)."""
    size = blocks.shape[-1] + (blocks.shape[-2] - 1) * hop
    folded = F.fold(blocks.transpose(1, 2), (1, size), (1, blocks.shape[-1]), stride=(1, hop))
    return folded.reshape(blocks.shape[0], size)
