"""Denoise one file with RNNoise, as in pyrnnoise on PyPI: python benchmarks/rnnoise.py IN.wav OUT.wav

It works at 48 kHz. Its delay is compensated, so that the output is aligned with the input.
"""

from __future__ import annotations

import sys

import numpy as np
import soundfile
import soxr
from delay import without_delay
from pyrnnoise import RNNoise


def denoise(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Denoise audio (N,); the rate is kept and the delay compensated."""
    return without_delay(with_delay(audio, sample_rate), audio, sample_rate // 20)[: len(audio)]


def with_delay(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Denoise audio (N,); the rate is kept, and so is RNNoise's delay."""
    wide = np.clip(soxr.resample(audio, sample_rate, 48000) * 32767, -32768, 32767).astype(np.int16)
    parts = [frame for _, frame in RNNoise(48000).denoise_chunk(wide[None])]
    clean = np.concatenate(parts, axis=1)[0].astype(np.float32) / 32768
    return np.asarray(soxr.resample(clean, 48000, sample_rate))


if __name__ == "__main__":
    given, sample_rate = soundfile.read(sys.argv[1], dtype="float32")
    soundfile.write(sys.argv[2], denoise(given, sample_rate), sample_rate)
