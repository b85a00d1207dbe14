"""Spectra on the grid of the video frames: nothing lost, nothing shifted, every tone in its band."""

from __future__ import annotations

import pytest
import torch
import torchaudio

from avse.dsp.stft import band_energies, istft, mel_filter_bank, stft

GRIDS = [(640, 160), (640, 320), (320, 160), (882, 441), (1764, 882), (1920, 480), (1920, 960)]


@pytest.mark.parametrize(("window_size", "hop"), GRIDS)
def test_inverse_is_exact_to_both_ends(window_size: int, hop: int) -> None:
    waveform = torch.randn(2, 3, 7 * hop, dtype=torch.float64)
    spectrum = stft(waveform, window_size, hop)
    assert spectrum.shape == (2, 3, window_size // 2 + 1, 7)
    torch.testing.assert_close(istft(spectrum, window_size, hop), waveform, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("window_size", "hop"), GRIDS)
def test_frame_is_centred_on_its_own_hop(window_size: int, hop: int) -> None:
    for frame in (0, 4, 8):
        impulse = torch.zeros(9 * hop)
        impulse[frame * hop + hop // 2] = 1.0
        energy = stft(impulse, window_size, hop).abs().square().mean(0)
        assert int(energy.argmax()) == frame
        if 0 < frame < 8:  # equal in both neighbours, except for the half sample of an odd hop
            assert abs(energy[frame - 1] - energy[frame + 1]) < 0.01 * energy[frame]


def test_sine_has_one_peak_and_its_own_level() -> None:
    waveform = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)
    magnitude = stft(waveform, 640, 320).abs()[:, 5:-5]
    assert set(magnitude.argmax(0).tolist()) == {40}  # 1000 Hz / 25 Hz
    window = torch.hann_window(640).sqrt()
    torch.testing.assert_close(magnitude[40], (window.sum() / 2).expand(40), rtol=1e-3, atol=0)


@pytest.mark.parametrize("frequency_hz", [150, 700, 2500, 7000])
def test_sine_lands_in_the_mel_band_around_it(frequency_hz: float) -> None:
    edges_hz = _mel_edges_hz(20)
    waveform = 0.1 * torch.sin(2 * torch.pi * frequency_hz * torch.arange(6400) / 16000)
    energies = band_energies(waveform[None], num_bands=20, samples_per_frame=640)
    assert energies.shape == (1, 20, 10)
    for band in energies[0].argmax(0).tolist():
        assert edges_hz[band] < frequency_hz < edges_hz[band + 2]


def test_band_energies_follow_the_level_down_to_the_floor() -> None:
    loud = torch.randn(1, 6400)
    waveform = torch.cat([loud, 0.1 * loud, torch.zeros(1, 6400)], dim=1)
    energies = band_energies(waveform, 20, 640)[0]
    torch.testing.assert_close(energies[:, 10:20], energies[:, :10] - 20, rtol=0, atol=0.01)
    assert torch.all(energies[:, 20:] == energies.max() - 60)


def _mel_edges_hz(num_bands: int) -> list[float]:
    """Edges of triangular bands, equally spaced on O'Shaughnessy's mel scale from 60 Hz to 8 kHz."""
    mel = torch.linspace(*(2595 * torch.log10(torch.tensor(1 + hz / 700)) for hz in (60, 8000)), num_bands + 2)
    edges: list[float] = (700 * (10 ** (mel / 2595) - 1)).tolist()
    return edges


@pytest.mark.parametrize(("num_bins", "num_bands", "sample_rate"), [(321, 20, 16000), (257, 40, 22050)])
def test_mel_bands_are_those_of_torchaudio(num_bins: int, num_bands: int, sample_rate: int) -> None:
    theirs = torchaudio.functional.melscale_fbanks(num_bins, 60.0, 8000.0, num_bands, sample_rate)
    torch.testing.assert_close(mel_filter_bank(num_bins, 60.0, 8000.0, num_bands, sample_rate), theirs, rtol=0, atol=0)
