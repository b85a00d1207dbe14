"""Arrays and tensors as a recording.

Legend: `C` channels, `N` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from avse.config import VIDEO_FPS
from avse.errors import UsageError
from avse.io import reader


def as_recording(
    waveform: np.ndarray, sample_rate: int, frames: np.ndarray | None, fps: float | None
) -> reader.InMemoryRecording:
    """Arrays as a recording; UsageError where they cannot be one."""
    sound = waveform[:, None] if waveform.ndim == 1 else waveform
    _check_sound(sound, sample_rate)
    sample_rate = int(sample_rate)
    picture, pixels, order = None, np.zeros((0, 2, 2), np.uint8), np.zeros(0, int)
    if frames is not None:
        _check_frames(frames, fps)
        picture, pixels = reader.VideoStream(frames.shape[2], frames.shape[1], 0.0), frames
        order = shown_frames(len(frames), float(fps or VIDEO_FPS))
    return reader.InMemoryRecording(
        Path("array"), len(sound) / sample_rate, reader.AudioStream(sample_rate, sound.shape[1], 0.0), picture,
        waveform=sound.astype(np.float32), pixels=pixels, order=order,
    )  # fmt: skip


def shown_frames(num_frames: int, fps: float) -> np.ndarray:
    """Which of the frames is shown in each 25th of a second: the last whose own, rounded, time has come."""
    comes = np.floor(np.arange(num_frames + 1) * VIDEO_FPS / fps + 0.5).astype(int)
    return np.searchsorted(comes[:-1], np.arange(comes[-1]), side="right") - 1


def _check_sound(sound: np.ndarray, sample_rate: int) -> None:
    if sound.ndim != 2 or not 1 <= sound.shape[1] <= 64:
        raise UsageError(f"A waveform of shape {sound.shape} makes no sense.", "Give (N,) or (N, C): samples first.")
    if not np.issubdtype(sound.dtype, np.floating):
        raise UsageError(f"A waveform of {sound.dtype} makes no sense.", "Give floats between -1 and 1.")
    if not np.isfinite(sound).all():
        raise UsageError("The waveform holds values that are no numbers.", "Look for nan and inf in it.")
    if sample_rate != int(sample_rate) or sample_rate < 1000:
        raise UsageError(f"A sample rate of {sample_rate} Hz makes no sense.", "Give a whole number of Hz.")


def _check_frames(frames: np.ndarray, fps: float | None) -> None:
    if fps is None or not fps > 0:
        raise UsageError("Frames need their rate.", "Give fps, such as 25.")
    if frames.ndim not in (3, 4) or (frames.ndim == 4 and frames.shape[3] != 3) or frames.dtype != np.uint8:
        raise UsageError(
            f"Frames of shape {frames.shape} and {frames.dtype} make no sense.",
            "Give uint8, (V, H, W) grey or (V, H, W, 3) RGB.",
        )


def as_numpy(values: np.ndarray | Tensor) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
