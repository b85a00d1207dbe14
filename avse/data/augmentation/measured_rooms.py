"""Measured rooms: impulse responses from files, and their effect on voices.

Legend: `N` samples at 16 kHz.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import fftconvolve

from avse.config import SAMPLE_RATE
from avse.errors import UsageError, one_line

LONGEST_SECONDS = 1.0
LEAD_SECONDS = 0.002


def read_rooms(folder: Path) -> dict[str, list[np.ndarray]]:
    """Read the impulse responses ``FOLDER/ROOM/NAME.flac`` (or .wav) by room, each with its direct sound in front.

    Raises:
        UsageError: the folder holds none, or one that cannot be read.
    """
    rooms: dict[str, list[np.ndarray]] = {}
    for path in sorted(folder.glob("*/[!.]*")):
        if path.suffix.lower() in {".flac", ".wav"}:
            try:
                audio, rate = soundfile.read(os.fsencode(path), dtype="float32", always_2d=True)
            except (OSError, soundfile.SoundFileError) as error:
                raise UsageError(
                    f"{path} cannot be read: {one_line(error)}", "Remove the file, or download it again."
                ) from error
            response = audio[:, 0] if rate == SAMPLE_RATE else soxr.resample(audio[:, 0], rate, SAMPLE_RATE, "HQ")
            if not np.isfinite(response).all():
                raise UsageError(f"{path} contains NaN or infinite values.", "Remove the file, or download it again.")
            if np.square(response).sum() > 0:
                rooms.setdefault(path.parent.name, []).append(direct_first(response))
    if not rooms:
        raise UsageError(f"No impulse responses in {folder}.", "Expected a folder for each room: ROOM/NAME.flac")
    return rooms


def direct_first(response: np.ndarray) -> np.ndarray:
    """Cut the response before the direct sound and after one second; scale the energy to 1: float32 (N,)."""
    peak = int(np.argmax(np.abs(response)))
    first = max(0, peak - int(LEAD_SECONDS * SAMPLE_RATE))
    kept = np.asarray(response[first : first + int(LONGEST_SECONDS * SAMPLE_RATE)], np.float32)
    return kept / np.float32(np.sqrt(np.square(kept, dtype=np.float64).sum()))


def convolve_room(audio: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve audio (N,) with a room impulse response; the length is kept."""
    return np.asarray(fftconvolve(audio, response)[: len(audio)], np.float32)
