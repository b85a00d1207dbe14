"""Rooms, microphones and telephone lines: effect of reverberation, equaliser and band limit on known signals."""

from __future__ import annotations

import numpy as np
import pytest

from avse.data.augmentation.acoustics import limit_bandwidth, random_eq, reverberate


def click(num_samples: int = 16000, place: int = 1000) -> np.ndarray:
    waveform = np.zeros(num_samples, np.float32)
    waveform[place] = 1.0
    return waveform


@pytest.mark.parametrize("seed", range(8))
def test_a_click_in_a_room_stays_where_it_was_with_a_tail_behind_it(seed: int) -> None:
    output = reverberate(click(), np.random.default_rng(seed))
    assert (output.shape, output.dtype) == ((16000,), np.float32)
    assert output[1000] == pytest.approx(1.0, abs=1e-3)
    assert np.abs(output[:1000]).max() < 1e-5
    assert np.abs(output[1001:1032]).max() < 1e-5
    tail = output[1001:].astype(np.float64)
    level_db = 10 * np.log10(np.square(tail).sum())
    assert -15.1 < level_db < -1.9
    assert np.abs(output[1000 + 4800 :]).max() < 1e-5


def test_the_tail_decays() -> None:
    for seed in range(8):
        output = reverberate(click(), np.random.default_rng(seed)).astype(np.float64)
        early, late = (np.square(output[1000 + start : 1000 + start + 800]).sum() for start in (100, 3600))
        fall_db = 10 * np.log10(early / late)
        assert 60 * 3500 / 16000 / 0.5 - 4 < fall_db < 60 * 3500 / 16000 / 0.15 + 4


def test_rooms_are_drawn() -> None:
    voice = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    first, again, other = (reverberate(voice, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-2)


@pytest.mark.parametrize("num_samples", [16000, 16001])
def test_a_microphone_has_smooth_gains_within_its_range(num_samples: int) -> None:
    seen = []
    for seed in range(8):
        output = random_eq(click(num_samples), 6.0, np.random.default_rng(seed))
        assert (output.shape, output.dtype) == ((num_samples,), np.float32)
        gains_db = 20 * np.log10(np.abs(np.fft.rfft(output.astype(np.float64))))
        assert np.abs(gains_db).max() < 6.01
        assert np.abs(np.diff(gains_db[200:])).max() < 0.1
        np.testing.assert_allclose(gains_db[:50], gains_db[0], atol=0.01)
        seen.append(gains_db)
    assert np.std(seen, axis=0).mean() > 1.0


def test_a_microphone_of_no_range_changes_nothing() -> None:
    np.testing.assert_allclose(random_eq(click(), 0.0, np.random.default_rng(0)), click(), atol=1e-6)


@pytest.mark.parametrize("highest_hz", [3400.0, 5000.0, 7000.0])
@pytest.mark.parametrize("num_samples", [16000, 16001])
def test_a_narrow_band(highest_hz: float, num_samples: int) -> None:
    """Tones well below the end pass, tones well above it are gone, the tone at it is halved."""
    times = np.arange(num_samples) / 16000
    for share, gain in ((0.2, 1.0), (0.8, 1.0), (1.0, 0.5), (1.13, 0.05)):
        tone = np.sin(2 * np.pi * share * highest_hz * times).astype(np.float32)
        output = limit_bandwidth(tone, highest_hz)
        assert (output.shape, output.dtype) == (tone.shape, np.float32)
        found = np.sqrt(np.mean(np.square(output[2000:-2000], dtype=np.float64)) * 2)
        assert found == pytest.approx(gain, abs=0.03)
