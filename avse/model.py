"""A trained net that enhances sound and pictures which are in memory, by the very path that recordings take.

Legend: `C` channels, `N` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from avse import media, registry
from avse.checkpoint import Checkpoint
from avse.choice import check_wish, choose
from avse.config import VIDEO_FPS
from avse.enhance import check_strength, listen
from avse.errors import UsageError
from avse.progress import silent
from avse.separation import separate

Array = TypeVar("Array", np.ndarray, Tensor)


class Model(Checkpoint):
    """A checkpoint that is ready for use."""

    def enhance(
        self,
        waveform: Array,
        sample_rate: int,
        frames: np.ndarray | Tensor | None = None,
        fps: float | None = None,
        *,
        speaker: str | int = "active",
        strength: float = 1.0,
    ) -> Array:
        """Enhance the voice of the person one sees.

        Args:
            waveform: (N,) or (N, C), floats between -1 and 1, an array or a tensor.
            sample_rate: of the waveform, in Hz.
            frames: (V, H, W) grey or (V, H, W, 3) RGB, uint8; the first is shown as the sound begins.
            fps: frames per second, any rate.
            speaker: which face: "active", "largest", "left", "right", or its number, 1 for the largest.
            strength: 1 gives the enhanced voice alone; less keeps the surroundings, 20 log10(1 - strength) dB lower.

        Returns:
            The enhanced sound: kind, shape, precision and device of ``waveform``.

        Raises:
            UsageError: a shape, type or rate makes no sense. InputError: there is no sound.
        """
        check_strength(strength)
        check_wish(self.net, speaker)
        recording = hold(_as_numpy(waveform), sample_rate, None if frames is None else _as_numpy(frames), fps)
        loudness = listen(recording, silent)
        choice = choose(recording, loudness, self.net, speaker, silent)
        net = (self if choice.followed else registry.for_sound_alone(self)).net
        blocks = separate(net, recording, loudness, choice.followed, silent, strength)
        result = np.concatenate(list(blocks)).reshape(waveform.shape)
        if isinstance(waveform, Tensor):
            return torch.from_numpy(result).to(waveform)
        return result.astype(waveform.dtype)


def load_model(name: str = registry.DEFAULT, device: str = "auto") -> Model:
    """Load a net by name or path, ready for use on ``device``: auto, cpu or cuda."""
    checkpoint = registry.load_model(name, device)
    return Model(**vars(checkpoint))


def hold(waveform: np.ndarray, sample_rate: int, frames: np.ndarray | None, fps: float | None) -> media.Held:
    """Arrays as a recording; UsageError where they cannot be one."""
    sound = waveform[:, None] if waveform.ndim == 1 else waveform
    _check_sound(sound, sample_rate)
    sample_rate = int(sample_rate)
    picture, pixels, order = None, np.zeros((0, 2, 2), np.uint8), np.zeros(0, int)
    if frames is not None:
        _check_frames(frames, fps)
        picture, pixels = media.Picture(frames.shape[2], frames.shape[1], 0.0), frames
        order = shown_frames(len(frames), float(fps or VIDEO_FPS))
    return media.Held(
        Path("array"), len(sound) / sample_rate, media.Sound(sample_rate, sound.shape[1], 0.0), picture,
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


def _as_numpy(values: np.ndarray | Tensor) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
