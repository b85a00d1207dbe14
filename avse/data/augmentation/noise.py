"""Noise augmentation: bursts made of recorded noise.

Legend: `N` samples at 16 kHz.
"""

from __future__ import annotations

import numpy as np

from avse.config import SAMPLE_RATE
from avse.dsp.levels import db_to_gain

ATTACK_SECONDS = 0.002


def cut_bursts(noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn noise (N,) into short separate sounds, such as drops, steps, knocks and keys.

    One to eight bursts a second rise within 2 ms and decay by 60 dB in 0.03 to 0.5 s; their levels differ by up to
    15 dB.
    """
    count = max(1, rng.poisson(rng.uniform(1.0, 8.0) * len(noise) / SAMPLE_RATE))
    attack = np.linspace(0.0, 1.0, round(ATTACK_SECONDS * SAMPLE_RATE), endpoint=False)
    envelope = np.zeros(len(noise))
    for first in rng.integers(0, len(noise), count):
        decay = rng.uniform(0.03, 0.5)
        times = np.arange(int(decay * SAMPLE_RATE)) / SAMPLE_RATE
        burst = np.concatenate([attack, 10 ** (-3 * times / decay)]) * db_to_gain(-rng.uniform(0.0, 15.0))
        part = envelope[first : first + len(burst)]
        np.maximum(part, burst[: len(part)], out=part)
    return np.asarray(noise * envelope, np.float32)
