"""Compensation of the delay of another denoiser."""

from __future__ import annotations

import numpy as np


def without_delay(estimate: np.ndarray, mixture: np.ndarray, longest: int) -> np.ndarray:
    """Shift an estimate (N,) back by the delay below ``longest`` samples with the best correlation to the mixture."""
    length = min(len(estimate), len(mixture)) - longest
    delay = max(range(longest), key=lambda lag: float(estimate[lag : lag + length] @ mixture[:length]))
    return np.concatenate([estimate[delay:], np.zeros(delay, estimate.dtype)])
