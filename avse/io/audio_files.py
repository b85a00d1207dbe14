"""Audio files of data sets at 16 kHz, mono; and reproducible WAV files to be combined with video.

Legend: `N` samples.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from avse.config import SAMPLE_RATE
from avse.dsp import resampling
from avse.errors import InputError
from avse.io import atomic, formats, reader


def read_audio_file(path: Path) -> np.ndarray:
    """Read audio as float32 (N,) at 16 kHz. InputError, also for a file that is not there, and for NaN in it.

    Plain audio files are read without ffmpeg, which takes longer to start than they take to read.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check that the folder is complete.")
    if formats.read_by_libsndfile(path):
        try:
            audio, sample_rate = soundfile.read(os.fsencode(path), dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise InputError(f"{path} cannot be read: {error}", "Check that the file plays.") from error
        if not np.isfinite(audio).all():
            raise InputError(f"{path} contains NaN or infinite values.", "Exclude this file.")
        if audio.shape[1] not in (6, 8):  # 5.1 and 7.1 have a channel without speech: only ffmpeg tells
            mono = next(resampling.downmix([audio]))[:, 0]
            return np.asarray(soxr.resample(mono, sample_rate, SAMPLE_RATE), np.float32)
    recording = reader.probe(path)
    if recording.audio is None:
        raise InputError(f"{path} has no audio track.", "Exclude this file.")
    return reader.load_audio(recording)[:, 0]


def write_audio_file(path: Path, audio: np.ndarray) -> None:
    """Write audio (N,) at 16 kHz as 16-bit WAV; the file exists only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.atomic_path(path) as partial:
        soundfile.write(os.fsencode(partial), np.clip(audio, -1.0, 1.0), SAMPLE_RATE, subtype="PCM_16")
