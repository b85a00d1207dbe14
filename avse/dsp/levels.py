"""Audio levels: RMS, scaling, and the statistics of a whole recording.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from avse.config import VIDEO_FPS
from avse.dsp import resampling

MIN_RMS = 1e-4


def db_to_gain(level_db: Any) -> Any:
    """Convert a level in dB to a gain; numbers and arrays."""
    return 10 ** (level_db / 20)


def gain_to_db(gain: float) -> float:
    """Convert a gain or a peak to dB, -120 dB at least."""
    return 20 * float(np.log10(max(gain, 1e-6)))


def rms(audio: np.ndarray) -> float:
    """Compute the root mean square, 0 for no samples."""
    return float(np.sqrt(np.mean(np.square(audio, dtype=np.float64)))) if len(audio) else 0.0


def scale_to(audio: np.ndarray, level_db: float) -> np.ndarray:
    """Scale audio to an RMS of ``level_db`` (0 dB is 1); silence stays silence."""
    own = max(float(np.sqrt(np.mean(np.square(audio)))), MIN_RMS)
    return (audio * (db_to_gain(level_db) / own)).astype(np.float32)


MIN_POWER, CANCELLATION = 1e-6, 1e-4
"""Channels above -60 dBFS cancel out if their mean is below -40 dB relative to them."""


@dataclass(frozen=True)
class AudioStats:
    """Hold the statistics of one pass over the audio.

    ``num_samples`` at its own rate, ``num_frames`` of video, the ``rms`` of the network's input, whether the
    channels cancel out there, and the ``peak`` sample, 1 at full scale.
    """

    num_samples: int
    num_frames: int
    rms: float
    cancels: bool = False
    peak: float = 0.0


def compute_audio_stats(blocks: Iterable[np.ndarray], sample_rate: int, low_frequency: int | None = None) -> AudioStats:
    """Measure audio blocks (N, C) in one pass; the RMS is that of the network's input, mono at 16 kHz."""
    num_samples, num_mono, energy, apart, together, peak = 0, 0, 0.0, 0.0, 0.0, 0.0

    def counted() -> Iterator[np.ndarray]:
        nonlocal num_samples, apart, together, peak
        for block in blocks:
            speech = resampling.speech_channels(block, low_frequency)
            num_samples += len(block)
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
            apart += float(np.square(speech, dtype=np.float64).mean(1).sum())
            together += float(np.square(speech.mean(1), dtype=np.float64).sum())
            yield block

    for block in resampling.to_model_rate(counted(), sample_rate, low_frequency):
        num_mono += len(block)
        energy += float(np.square(block, dtype=np.float64).sum())
    num_frames = -(-num_samples * VIDEO_FPS // sample_rate)
    cancels = apart > MIN_POWER * num_samples and together < CANCELLATION * apart
    return AudioStats(num_samples, num_frames, math.sqrt(energy / max(num_mono, 1)), cancels, peak)
