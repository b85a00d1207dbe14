"""Audio levels: RMS, scaling, and the statistics of a whole recording.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from avse.config import VIDEO_FPS
from avse.dsp import resampling


def scale_to(sound: np.ndarray, level_db: float) -> np.ndarray:
    """Sound brought to an RMS of ``level_db`` (0 dB is 1); silence stays silence."""
    rms = max(float(np.sqrt(np.mean(np.square(sound)))), 1e-4)
    return (sound * (10 ** (level_db / 20) / rms)).astype(np.float32)


def rms(sound: np.ndarray) -> float:
    """Root mean square, 0 for no samples."""
    return float(np.sqrt(np.mean(np.square(sound, dtype=np.float64)))) if len(sound) else 0.0


MIN_POWER, CANCELLATION = 1e-6, 1e-4
"""Channels of -60 dBFS and more of which less than -40 dB is left in their mean cancel each other out."""


@dataclass(frozen=True)
class AudioStats:
    """What a first look at the sound tells: its length in samples at its own rate and in video frames, its RMS as the
    net hears it, whether its channels cancel each other out there, and its largest sample, 1 at full scale."""

    num_samples: int
    num_frames: int
    rms: float
    cancels: bool = False
    peak: float = 0.0


def compute_audio_stats(blocks: Iterable[np.ndarray], sample_rate: int) -> AudioStats:
    """Go through a sound (N, C) once; its level is that of what the net will hear of it."""
    num_samples, num_heard, energy, apart, together, peak = 0, 0, 0.0, 0.0, 0.0, 0.0

    def counted() -> Iterator[np.ndarray]:
        nonlocal num_samples, apart, together, peak
        for block in blocks:
            speech = resampling.speech_channels(block)
            num_samples += len(block)
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
            apart += float(np.square(speech, dtype=np.float64).mean(1).sum())
            together += float(np.square(speech.mean(1), dtype=np.float64).sum())
            yield block

    for block in resampling.to_model_rate(counted(), sample_rate):
        num_heard += len(block)
        energy += float(np.square(block, dtype=np.float64).sum())
    num_frames = -(-num_samples * VIDEO_FPS // sample_rate)
    cancels = apart > MIN_POWER * num_samples and together < CANCELLATION * apart
    return AudioStats(num_samples, num_frames, math.sqrt(energy / max(num_heard, 1)), cancels, peak)
