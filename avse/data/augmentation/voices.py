"""Another voice for the same words: pitch and formants change, the timing stays, so that the lips still match.

Legend: `N` samples at 16 kHz.
"""

from __future__ import annotations

import numpy as np

from avse.config import SAMPLE_RATE
from avse.dsp.levels import rms
from avse.errors import MissingError
from avse.installation import install_hint
from avse.io.arrays import to_floats, to_integers

PITCH_HZ = (75.0, 600.0)
"""Range in which pitch is searched."""
HIGHEST_MEDIAN_HZ = 380.0
PITCH_OCTAVES = 0.55
"""Largest change of the median pitch."""
FORMANT_OCTAVES = 0.168
"""Largest change of the formants, besides the 0.16 octaves by which they follow each octave of pitch."""


def check_available() -> None:
    """Raise MissingError if the package that changes voices is not installed."""
    try:
        import parselmouth  # noqa: F401
    except ImportError as error:
        raise MissingError("Voice variation needs the package praat-parselmouth.", install_hint("voices")) from error


def vary_voice(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Change the pitch and formants of one voice by overlap-add of pitch periods (PSOLA; Praat's "Change gender").

    Args:
        audio: int16 (N,).

    Returns:
        int16 (N,) of the same RMS level; None where no pitch is found.
    """
    import parselmouth

    waveform = to_floats(audio)
    voice = parselmouth.Sound(waveform, SAMPLE_RATE)
    if voice.duration < 0.5:
        return None
    pitch = voice.to_pitch(pitch_floor=PITCH_HZ[0], pitch_ceiling=PITCH_HZ[1]).selected_array["frequency"]
    if np.count_nonzero(pitch) < 5:
        return None
    median = np.median(pitch[pitch > 0])
    wanted = np.clip(median * 2 ** rng.uniform(-PITCH_OCTAVES, PITCH_OCTAVES), PITCH_HZ[0], HIGHEST_MEDIAN_HZ)
    formants = 2 ** (rng.uniform(-FORMANT_OCTAVES, FORMANT_OCTAVES) + 0.16 * np.log2(wanted / median))
    parselmouth.praat.run(f"random_initializeWithSeedUnsafelyButPredictably ({rng.integers(2**31)})")
    changed = parselmouth.praat.call(
        voice, "Change gender", *PITCH_HZ, float(formants), float(wanted), rng.uniform(0.7, 1.3), 1.0
    )
    return to_integers(_match_level(waveform, changed.values[0]), audio.dtype)


def _match_level(audio: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """Return ``changed`` with the length and the RMS level of ``audio``."""
    fitted = np.zeros(len(audio))
    fitted[: len(changed)] = changed[: len(audio)]
    return fitted * (rms(audio) / max(rms(fitted), 1e-6))
