"""Sizes of the blocks that are decoded and of the windows that the network sees, on the video-frame grid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from avse.dsp import overlap_add

WINDOW_FRAMES = 200
OVERLAP_FRAMES = 25
BLOCK_SECONDS = 4.0


def model_windows(blocks: Iterator[np.ndarray], num_frames: int, rows_per_frame: int) -> Iterator[np.ndarray]:
    """Cut a stream with ``rows_per_frame`` rows per video frame into the windows that the network processes."""
    step = WINDOW_FRAMES - OVERLAP_FRAMES
    return overlap_add.sliding_windows(
        blocks, num_frames * rows_per_frame, WINDOW_FRAMES * rows_per_frame, step * rows_per_frame
    )
