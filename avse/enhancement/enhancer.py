"""A trained net that enhances sound and pictures which are in memory, by the very path that recordings take.

Legend: `C` channels, `N` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from avse.active_speaker.selection import check_speaker, select_target
from avse.enhancement.pipeline import measure_audio
from avse.enhancement.streaming import enhance_stream
from avse.enhancement.validation import check_strength
from avse.io.arrays import as_numpy, as_recording
from avse.progress import silent
from avse.weights import pretrained
from avse.weights.checkpoint import Checkpoint

Array = TypeVar("Array", np.ndarray, Tensor)


class Enhancer(Checkpoint):
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
        check_speaker(self.net, speaker)
        recording = as_recording(as_numpy(waveform), sample_rate, None if frames is None else as_numpy(frames), fps)
        stats = measure_audio(recording, silent)
        choice = select_target(recording, stats, self.net, speaker, silent)
        net = (self if choice.followed else pretrained.for_audio_only(self)).net
        blocks = enhance_stream(net, recording, stats, choice.followed, silent, strength)
        result = np.concatenate(list(blocks)).reshape(waveform.shape)
        if isinstance(waveform, Tensor):
            return torch.from_numpy(result).to(waveform)
        return result.astype(waveform.dtype)


def load_model(name: str = pretrained.DEFAULT, device: str = "auto") -> Enhancer:
    """Load a net by name or path, ready for use on ``device``: auto, cpu or cuda."""
    checkpoint = pretrained.load_model(name, device)
    return Enhancer(**vars(checkpoint))
