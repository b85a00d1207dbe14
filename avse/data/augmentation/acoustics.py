"""Acoustic augmentation: simulated reverberation, a random equaliser, a band limit.

Legend: `N` samples at 16 kHz.
"""

from __future__ import annotations

import numpy as np

from avse.config import SAMPLE_RATE
from avse.dsp.levels import db_to_gain

TAIL_SECONDS = 0.3


def reverberate(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add simulated reverberation to audio (N,): noise that decays by 60 dB in 0.15 to 0.5 s.

    The direct sound keeps its time, so that lips and audio stay in sync; it is 2 to 15 dB above the tail.
    """
    times = np.arange(1, int(TAIL_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(times)) * 10 ** (-3 * times / rng.uniform(0.15, 0.5))
    tail[: int(0.002 * SAMPLE_RATE)] = 0.0
    tail *= db_to_gain(-rng.uniform(2.0, 15.0)) / np.sqrt(np.square(tail).sum())
    response = np.concatenate([[1.0], tail])
    size = len(audio) + len(response)
    answer = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(response, size), size)
    return answer[: len(audio)].astype(np.float32)


def random_eq(audio: np.ndarray, range_db: float, rng: np.random.Generator) -> np.ndarray:
    """Apply a random equaliser to audio (N,): gains within +-``range_db`` at every octave from 62 Hz to 8 kHz."""
    spectrum = np.fft.rfft(audio)
    octaves = np.log2(np.linspace(0, SAMPLE_RATE / 2, len(spectrum)).clip(62.5) / 62.5)
    gains_db = np.interp(octaves, np.arange(8), rng.uniform(-range_db, range_db, 8))
    return np.fft.irfft(spectrum * db_to_gain(gains_db), len(audio)).astype(np.float32)


def limit_bandwidth(audio: np.ndarray, highest_hz: float) -> np.ndarray:
    """Low-pass filter audio (N,), like a telephone or strong compression."""
    spectrum = np.fft.rfft(audio)
    frequencies = np.linspace(0, SAMPLE_RATE / 2, len(spectrum))
    spectrum *= 1 / (1 + (frequencies / highest_hz) ** 24)
    return np.fft.irfft(spectrum, len(audio)).astype(np.float32)
