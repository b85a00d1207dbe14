"""RNNoise as PyPI's pyrnnoise ships it, on one file: python benchmarks/rnnoise.py IN.wav OUT.wav

It works at 48 kHz; its own delay is taken back, so that the output lies on the input.
"""

from __future__ import annotations

import sys

import numpy as np
import soundfile
import soxr
from delay import without_delay
from pyrnnoise import RNNoise


def denoise(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Sound (N,) without noise, at the same rate, in its place."""
    return without_delay(late(sound, sample_rate), sound, sample_rate // 20)[: len(sound)]


def late(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Sound (N,) without noise, at the same rate, as late as RNNoise gives it."""
    wide = np.clip(soxr.resample(sound, sample_rate, 48000) * 32767, -32768, 32767).astype(np.int16)
    parts = [frame for _, frame in RNNoise(48000).denoise_chunk(wide[None])]
    clean = np.concatenate(parts, axis=1)[0].astype(np.float32) / 32768
    return np.asarray(soxr.resample(clean, 48000, sample_rate))


if __name__ == "__main__":
    given, sample_rate = soundfile.read(sys.argv[1], dtype="float32")
    soundfile.write(sys.argv[2], denoise(given, sample_rate), sample_rate)
