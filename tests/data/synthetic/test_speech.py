"""Synthetic speech: length, seed, level, pitch and formants."""

from __future__ import annotations

import numpy as np
import pytest

from avse.data.synthetic.speech import speak
from avse.errors import UsageError


def frame_levels(waveform: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(waveform.reshape(-1, 640) ** 2, axis=1))


def autocorrelation_pitch(part: np.ndarray) -> tuple[float, float]:
    """Return the pitch in Hz, between 70 and 320, and the periodicity (1 is a pure tone)."""
    products = np.correlate(part, part, "full")[len(part) - 1 :] / np.arange(len(part), 0, -1)
    best = 50 + int(np.argmax(products[50:229]))
    return 16000 / best, float(products[best] / products[0])


def test_speech_has_the_length_asked_for_and_is_the_same_for_the_same_seed() -> None:
    first, again, other = speak(1.3, seed=3), speak(1.3, seed=3), speak(1.3, seed=4)
    assert first.waveform.shape == (20800,)
    assert first.opening.shape == (32,)
    assert first.waveform.dtype == first.opening.dtype == np.float32
    np.testing.assert_array_equal(first.waveform, again.waveform)
    np.testing.assert_array_equal(first.opening, again.opening)
    assert np.abs(first.waveform - other.waveform).max() > 0.05


def test_mouth_opens_with_the_level_of_the_speech() -> None:
    for seed in range(3):
        speech = speak(6.0, seed=seed)
        assert np.corrcoef(frame_levels(speech.waveform), speech.opening)[0, 1] > 0.7
        assert speech.opening.min() < 0.05
        assert speech.opening.max() > 0.7


def test_speech_has_syllables_at_four_a_second_and_pauses() -> None:
    level = np.concatenate([frame_levels(speak(6.0, seed=seed).waveform) for seed in range(3)])
    power = np.abs(np.fft.rfft(level - level.mean())) ** 2
    rate_hz = np.fft.rfftfreq(len(level), 1 / 25)
    syllabic = (rate_hz > 1) & (rate_hz < 10)
    assert 2.5 < np.average(rate_hz[syllabic], weights=power[syllabic]) < 5.5
    assert 0.08 < np.mean(level < 0.02 * level.max()) < 0.4


@pytest.mark.parametrize("pitch_hz", [110.0, 210.0])
def test_speaker_has_the_pitch_asked_for(pitch_hz: float) -> None:
    waveform = speak(4.0, seed=1, pitch_hz=pitch_hz).waveform
    found = [autocorrelation_pitch(part) for part in waveform.reshape(-1, 640) if np.std(part) > 0.02]
    found_hz, strength = np.array(found).T
    assert np.mean(strength > 0.5) > 0.5
    assert np.median(found_hz[strength > 0.5]) == pytest.approx(pitch_hz, rel=0.12)


def test_speech_has_voiced_and_hissed_parts() -> None:
    parts = np.concatenate([speak(6.0, seed=seed).waveform for seed in range(3)]).reshape(-1, 640)
    power = np.abs(np.fft.rfft(parts[parts.std(axis=1) > 0.005])) ** 2
    share_above_2500_hz = power[:, 100:].sum(axis=1) / power.sum(axis=1)
    assert np.mean(share_above_2500_hz < 0.1) > 0.5
    assert 0.03 < np.mean(share_above_2500_hz > 0.5) < 0.3


def test_longer_tract_lowers_the_formants() -> None:
    def centroid_hz(tract_scale: float) -> float:
        power = np.abs(np.fft.rfft(speak(4.0, seed=2, tract_scale=tract_scale).waveform)) ** 2
        return float(np.average(np.linspace(0, 8000, len(power)), weights=power))

    assert centroid_hz(0.9) < centroid_hz(1.2)


@pytest.mark.parametrize("arguments", [{"seconds": 0.1}, {"seconds": 1, "sample_rate": 4000}])
def test_impossible_speech_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="Cannot synthesise"):
        speak(**arguments)  # type: ignore[arg-type]
