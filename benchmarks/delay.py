"""The delay of somebody else's denoiser, taken back."""

from __future__ import annotations

import numpy as np


def without_delay(estimate: np.ndarray, mixture: np.ndarray, longest: int) -> np.ndarray:
    """An estimate shifted back by the delay, in samples, at which it correlates best with the mixture."""
    length = min(len(estimate), len(mixture)) - longest
    delay = max(range(longest), key=lambda lag: float(estimate[lag : lag + length] @ mixture[:length]))
    return np.concatenate([estimate[delay:], np.zeros(delay, estimate.dtype)])
