"""Enhance audio and video frames in memory, by the same pipeline as files.

Legend: `C` channels, `N` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from avse.active_speaker.selection import parse_speaker
from avse.enhancement.pipeline import Options, Pipeline
from avse.io.arrays import as_numpy, as_recording
from avse.weights import pretrained
from avse.weights.checkpoint import Checkpoint

Array = TypeVar("Array", np.ndarray, Tensor)


class Enhancer(Checkpoint):
    """Hold a model that is ready for use."""

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
        """Enhance the voice of one person in the frames.

        Args:
            waveform: (N,) or (N, C), floats between -1 and 1, an array or a tensor.
            sample_rate: of the waveform, in Hz.
            frames: (V, H, W) grey or (V, H, W, 3) RGB, uint8; the first is shown when the audio begins. None uses the
                audio alone.
            fps: frames per second, any rate.
            speaker: which face: "active", "largest", "left", "right", or its number, 1 for the largest.
            strength: 1 keeps the voice alone. Less mixes the original in: nothing is attenuated by more than
                -20 log10(1 - strength) dB.

        Returns:
            The enhanced audio, with type, shape, precision and device of ``waveform``.

        Raises:
            UsageError: a shape, type, rate or option cannot be used. InputError: the audio is empty.
        """
        options = Options(speaker=parse_speaker(speaker), strength=strength)
        options.check()
        recording = as_recording(as_numpy(waveform), sample_rate, None if frames is None else as_numpy(frames), fps)
        enhanced, _ = Pipeline(self, recording, options).write(None)
        assert enhanced is not None
        enhanced = enhanced.reshape(waveform.shape)
        if isinstance(waveform, Tensor):
            return torch.from_numpy(enhanced).to(waveform)
        return enhanced.astype(waveform.dtype)


def load_model(name: str = pretrained.DEFAULT, device: str = "auto") -> Enhancer:
    """Load a model by name or path, ready for use on ``device``: auto, cpu or cuda."""
    checkpoint = pretrained.load_model(name, device)
    return Enhancer(**vars(checkpoint))
