"""Another voice for a clip: pitch and formants change, timing and level stay."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from avse.data.augmentation import voices
from avse.data.synthetic.speech import speak
from avse.dsp.levels import rms
from avse.errors import MissingError


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    pytest.importorskip("parselmouth")
    return np.asarray(np.rint(speak(2.0, seed=4).waveform * 32767), np.int16)


def test_another_voice_keeps_length_level_and_timing(spoken: np.ndarray) -> None:
    varied = voices.vary_voice(spoken, np.random.default_rng(1))
    assert varied is not None
    assert varied.dtype == np.int16
    assert varied.shape == spoken.shape
    assert rms(varied / 32768) == pytest.approx(rms(spoken / 32768), rel=0.02)
    assert np.corrcoef(loudness(spoken), loudness(varied))[0, 1] > 0.8
    assert not np.array_equal(varied, spoken)


def loudness(waveform: np.ndarray) -> np.ndarray:
    frames = waveform[: len(waveform) // 640 * 640].astype(float).reshape(-1, 640)
    return np.asarray(np.square(frames).mean(1) ** 0.3)


def test_pitch_moves_by_what_was_drawn(spoken: np.ndarray) -> None:
    import parselmouth

    def median_hz(waveform: np.ndarray) -> float:
        pitch = parselmouth.Sound(waveform / 32768, 16000).to_pitch(pitch_floor=75, pitch_ceiling=600)
        found = pitch.selected_array["frequency"]
        return float(np.median(found[found > 0]))

    for seed in range(4):
        varied = voices.vary_voice(spoken, np.random.default_rng(seed))
        drawn = np.random.default_rng(seed).uniform(-voices.PITCH_OCTAVES, voices.PITCH_OCTAVES)
        assert varied is not None
        wanted = np.clip(median_hz(spoken) * 2**drawn, voices.PITCH_HZ[0], voices.HIGHEST_MEDIAN_HZ)
        assert median_hz(varied) == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("waveform", [np.zeros(16000, np.int16), np.ones(3000, np.int16), np.zeros(0, np.int16)])
def test_without_a_voice_there_is_no_other_one(waveform: np.ndarray) -> None:
    pytest.importorskip("parselmouth")
    assert voices.vary_voice(waveform, np.random.default_rng(1)) is None


def test_missing_package_is_an_error_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "parselmouth", None)
    with pytest.raises(MissingError, match="praat-parselmouth") as caught:
        voices.check_available()
    assert "install" in caught.value.hint
