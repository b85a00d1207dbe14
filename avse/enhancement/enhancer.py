"""Enhance audio and video frames in memory, by the same pipeline as files.

Legend: `C` channels, `N` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avse.active_speaker.speaker_choice import parse_speaker
from avse.enhancement.options import Options
from avse.enhancement.pipeline import Pipeline
from avse.errors import UsageError
from avse.io.arrays import AudioArray, Channels, as_recording, read_audio_array
from avse.io.frames import Colour
from avse.weights import pretrained
from avse.weights.checkpoint import Checkpoint


class Enhancer(Checkpoint):
    """Hold a model that is ready for use."""

    def enhance(
        self,
        waveform: Any,
        sample_rate: int,
        frames: Any = None,
        fps: float | None = None,
        *,
        speaker: str | int = "active",
        strength: float = 1.0,
        channels: Channels = "auto",
        colour: Colour = "rgb",
    ) -> Any:
        """Enhance the voice of one person in the frames, or of everyone.

        Args:
            waveform: an array, tensor or list: (N,), (N, C) or (C, N), or a batch (B, C, N) whose items are enhanced
                one by one. Floats of any precision in -1..1, int16 or int32.
            sample_rate: of the waveform, in Hz.
            frames: uint8 (V, H, W) grey, (V, H, W, 3) or (V, 3, H, W) colour, an array, a tensor, or a list of frames
                or Pillow images; the first frame starts with the audio. For a batch, one of these per item.
                None uses the audio alone.
            fps: frames per second, any rate.
            speaker: which face: "active", "largest", "left", "right", or its number, 1 for the largest; or "everyone".
            strength: 1 keeps only the voice. Lower values mix in the original: nothing is attenuated by more than
                -20 log10(1 - strength) dB.
            channels: position of the channel axis, "first" or "last"; "auto" infers it from the shape if possible.
            colour: order of the colours, "rgb" or "bgr" (OpenCV).

        Returns:
            The enhanced audio, with type, shape, precision and device of ``waveform``.

        Raises:
            UsageError: a shape, type, rate or option cannot be used. InputError: the audio is empty.
        """
        options = Options(speaker=parse_speaker(speaker), strength=strength)
        audio = read_audio_array(waveform, channels)
        videos = _frames_of_items(audio, frames)
        results = []
        for samples, shown in zip(audio.samples, videos, strict=True):
            pipeline = Pipeline(self, as_recording(samples, sample_rate, shown, fps, colour), options)
            results.append(np.concatenate([block for (block,) in pipeline.stream()]))
        return audio.like_given(results)

    def enhance_all(
        self,
        waveform: Any,
        sample_rate: int,
        frames: Any,
        fps: float,
        *,
        strength: float = 1.0,
        channels: Channels = "auto",
        colour: Colour = "rgb",
    ) -> list[Any]:
        """Enhance the voice of every face whose mouth moves: a list of results as `enhance` gives, largest face first.

        Takes what `enhance` takes, but no batch. Where no face is found, the list is empty.
        """
        options = Options(speaker="all", strength=strength, measure_all=True)
        audio = read_audio_array(waveform, channels)
        if audio.has_batch:
            raise UsageError("The faces of a batch cannot be enhanced together.", "Pass one item at a time.")
        pipeline = Pipeline(self, as_recording(audio.samples[0], sample_rate, frames, fps, colour), options)
        if not pipeline.selection.targets:
            return []
        voices = zip(*pipeline.stream(), strict=True)
        return [audio.like_given([np.concatenate(blocks)]) for blocks in voices]


def _frames_of_items(audio: AudioArray, frames: Any) -> Sequence[Any]:
    """Return the frames of each item of a batch, None where there are none. UsageError if they do not match."""
    if frames is None or not audio.has_batch:
        return [frames] * len(audio.samples)
    try:
        videos = list(frames)
    except TypeError as error:
        raise UsageError(
            f"Frames cannot be a {type(frames).__name__}.", "Pass a list: the frames of each item."
        ) from error
    if len(videos) != len(audio.samples):
        raise UsageError(
            f"There are {len(audio.samples)} waveforms and {len(videos)} videos.", "Pass frames for each item."
        )
    return videos


def load_model(name: str | Path = pretrained.DEFAULT, device: str = "auto") -> Enhancer:
    """Load a model by name or path, ready for use on ``device``: auto, cpu or cuda."""
    checkpoint = pretrained.load_model(name, device)
    return Enhancer(**vars(checkpoint))
