"""Convert audio arrays and tensors of any common form to a recording in memory, and back.

Legend: `B` batch, `C` channels, `N` samples.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from avse.errors import UsageError, short_repr
from avse.io import reader
from avse.io.frames import Colour, check_fps, shown_frames, stack_frames
from avse.io.probe import HIGHEST_RATE, LOWEST_RATE
from avse.io.tensors import plain_array

Channels = Literal["auto", "first", "last"]
MAX_CHANNELS = 64
_FULL_SCALE = {np.dtype(np.int16): 2**15, np.dtype(np.int32): 2**31}
_SHAPE_HINT = "Pass an array or tensor (N,), (N, C) or (C, N)."
_CHANNELS_HINT = 'Pass channels="first" for (C, N) or channels="last" for (N, C).'


@dataclass(frozen=True)
class AudioArray:
    """Hold the audio of a caller as float32 (B, N, C), and how to give a result back in the caller's own form."""

    samples: np.ndarray
    given: Any
    has_batch: bool
    channels: Channels

    def like_given(self, results: Sequence[np.ndarray]) -> Any:
        """Convert results (N, C), one per item of the batch, to the type, shape and device of the input."""
        stacked = np.stack(results)
        stacked = stacked.swapaxes(1, 2) if self.channels == "first" else stacked
        is_tensor = isinstance(self.given, Tensor)
        num_dimensions = self.given.ndim if is_tensor else np.ndim(self.given)
        stacked = stacked if self.has_batch else stacked[0]
        stacked = stacked[:, 0] if num_dimensions == 1 else stacked
        if is_tensor and self.given.is_floating_point():
            return torch.from_numpy(stacked).to(self.given)
        dtype = _plain_array(self.given).dtype
        scaled = to_integers(stacked, dtype) if dtype in _FULL_SCALE else stacked.astype(dtype)
        return torch.from_numpy(scaled).to(self.given.device) if is_tensor else scaled


def read_audio_array(waveform: Any, channels: Channels = "auto") -> AudioArray:
    """Read audio (N,), (N, C), (C, N), or a batch (B, C, N), as an array, a tensor or nested lists.

    Floats are in -1..1, int16 and int32 at their full scale. ``channels``: where the channels of more than one
    dimension are; "auto" tells two dimensions apart by their size, and takes three as (B, C, N).

    Raises:
        UsageError: the type cannot be used, or shape and ``channels`` leave open what is what.
    """
    check_channels(channels)
    plain = _plain_array(waveform)
    place = _channel_place(plain.shape, channels)
    with np.errstate(over="ignore"):  # infinite values are refused below
        audio = to_floats(plain)
    has_batch = audio.ndim == 3
    batch = audio if has_batch else (audio[:, None] if audio.ndim == 1 else audio)[None]
    samples = batch.swapaxes(1, 2) if place == "first" else batch
    if not len(samples):
        raise UsageError(f"A batch of shape {plain.shape} holds no waveform.", "Pass at least one: (B, C, N).")
    if not 1 <= samples.shape[2] <= MAX_CHANNELS:
        raise UsageError(f"A waveform of shape {plain.shape} has {samples.shape[2]} channels.", _CHANNELS_HINT)
    if not np.isfinite(samples).all():
        raise UsageError("The waveform contains NaN or infinite values.", "Replace them, for example with 0.")
    return AudioArray(np.ascontiguousarray(samples), waveform, has_batch, place)


def check_channels(channels: Any) -> None:
    """Raise UsageError for an unknown position of the channels."""
    if not isinstance(channels, str) or channels not in ("auto", "first", "last"):
        raise UsageError(f"channels is {short_repr(channels)}.", 'Use "auto", "first" or "last".')


def as_recording(
    samples: np.ndarray, sample_rate: Any, frames: Any = None, fps: Any = None, colour: Colour = "rgb"
) -> reader.InMemoryRecording:
    """Return float audio (N, C) and video frames as a recording. UsageError where they cannot be one."""
    rate = check_sample_rate(sample_rate)
    samples = samples[:, None] if samples.ndim == 1 else samples
    video, pixels, order = None, np.zeros((0, 2, 2), np.uint8), np.zeros(0, int)
    if frames is not None:
        pixels = stack_frames(frames, colour)
        video = reader.VideoStream(pixels.shape[2], pixels.shape[1], 0.0)
        order = shown_frames(len(pixels), check_fps(fps))
    return reader.InMemoryRecording(
        Path("array"), len(samples) / rate, reader.AudioStream(rate, samples.shape[1], 0.0), video,
        waveform=samples.astype(np.float32), pixels=pixels, order=order,
    )  # fmt: skip


def _plain_array(waveform: Any) -> np.ndarray:
    """Return an array of a tensor, an array or lists. UsageError for anything else."""
    plain = plain_array(waveform, "A waveform", _SHAPE_HINT)
    if plain.ndim == 0:
        raise UsageError(f"A waveform cannot be a {type(waveform).__name__} without dimensions.", _SHAPE_HINT)
    return plain


def _channel_place(shape: tuple[int, ...], channels: Channels) -> Channels:
    """Return "first" or "last". UsageError if the shape is ambiguous."""
    if len(shape) not in (1, 2, 3):
        raise UsageError(f"A waveform has 1 to 3 dimensions, not {len(shape)}.", "Pass (N,), (C, N) or (B, C, N).")
    if channels != "auto" and len(shape) > 1:
        return channels
    if len(shape) != 2:
        return "last" if len(shape) == 1 else "first"
    few_first, few_last = (size <= MAX_CHANNELS for size in shape)
    if few_first == few_last:
        raise UsageError(f"A waveform of shape {shape} is ambiguous.", _CHANNELS_HINT)
    return "first" if few_first else "last"


def to_floats(plain: np.ndarray) -> np.ndarray:
    """Convert int16, int32 or floats to float32, 1 at full scale. UsageError for other types."""
    if plain.dtype in _FULL_SCALE:
        return plain.astype(np.float32) / np.float32(_FULL_SCALE[plain.dtype])  # exact: a power of two
    if np.issubdtype(plain.dtype, np.floating):
        return plain.astype(np.float32)
    raise UsageError(f"A waveform of type {plain.dtype} is not supported.", "Pass floats in -1..1, int16 or int32.")


def to_integers(floats: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Convert floats to int16 or int32, 1 at full scale; what is beyond is clipped."""
    full = _FULL_SCALE[dtype]
    return np.clip(np.rint(floats.astype(np.float64) * full), -full, full - 1).astype(dtype)


def check_sample_rate(sample_rate: Any) -> int:
    """Return a sample rate as a whole number of Hz. UsageError for any other value."""
    try:
        is_number = not isinstance(sample_rate, str | bytes | bool) and np.ndim(sample_rate) == 0
        rate = operator.index(int(sample_rate) if is_number and sample_rate == int(sample_rate) else sample_rate)
    except Exception as error:  # a foreign object may raise anything
        message = f"The sample rate is {short_repr(sample_rate)}."
        raise UsageError(message, "Pass a whole number of Hz, such as 16000.") from error
    if isinstance(sample_rate, bool) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise UsageError(
            f"The sample rate is {short_repr(sample_rate)} Hz.", f"Pass {LOWEST_RATE} to {HIGHEST_RATE} Hz."
        )
    return rate
