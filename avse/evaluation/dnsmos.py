"""DNSMOS P.835: overall speech quality from 1 to 5, without a reference.

Reddy, Gopal and Cutler, 2022; the networks come inside the package `speechmos` and run offline.
"""

from __future__ import annotations

import importlib.util

import numpy as np

from avse.config import SAMPLE_RATE
from avse.errors import MissingError
from avse.installation import install_hint


def check_installed() -> None:
    """Raise MissingError if the package `speechmos` is not installed."""
    if importlib.util.find_spec("speechmos") is None:
        raise MissingError("Scores without a reference need speechmos.", install_hint("dnsmos"))


def overall(audio: np.ndarray) -> float:
    """Compute the DNSMOS of a signal (N,) at 16 kHz; ValueError gives the reason if there is none."""
    if len(audio) == 0 or not np.isfinite(audio).all() or not np.any(audio):
        raise ValueError("DNSMOS needs audio that is not silent")
    from speechmos import dnsmos

    return float(dnsmos.run(np.clip(audio, -1.0, 1.0), SAMPLE_RATE)["ovrl_mos"])
