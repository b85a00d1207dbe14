"""Denoise one file by spectral gating, as in noisereduce on PyPI: python benchmarks/spectral_gate.py IN.wav OUT.wav"""

from __future__ import annotations

import sys

import noisereduce
import soundfile

if __name__ == "__main__":
    given, sample_rate = soundfile.read(sys.argv[1], dtype="float32")
    soundfile.write(sys.argv[2], noisereduce.reduce_noise(y=given, sr=sample_rate), sample_rate)
