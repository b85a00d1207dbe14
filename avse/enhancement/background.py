"""The background: what enhancement removes from a recording.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avse.dsp.windowing import BLOCK_SECONDS
from avse.io import reader, wav


def with_background(
    voices: Iterator[tuple[np.ndarray, ...]], recording: reader.Recording, stored_as: str = "FLOAT"
) -> Iterator[tuple[np.ndarray, ...]]:
    """Add to each step of blocks (N, C) the recording minus their sum. The audio is decoded once more for it.

    ``stored_as`` is the subtype in which the voices will be stored: their rounding goes into the background, so that
    the files of any number of voices add up to the recording.
    """
    audio = recording.audio_stream
    original = reader.read_audio(recording, BLOCK_SECONDS, audio.sample_rate, audio.num_channels)
    held: np.ndarray = np.zeros((0, audio.num_channels), np.float32)
    for blocks in voices:
        num_samples = len(blocks[0])
        while len(held) < num_samples:
            held = np.concatenate([held, next(original)])
        yield (*blocks, held[:num_samples] - sum(wav.as_stored(block, stored_as) for block in blocks))
        held = held[num_samples:]
