"""Shot boundaries: cuts, but neither movement, noise nor fades."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avse.faces.shot_detection import ShotDetector
from avse.io import reader


def test_movement_and_noise_are_no_cut(clip: Path) -> None:
    is_cut = ShotDetector()
    rng = np.random.default_rng(0)
    frames = [frame.astype(int) for frame in reader.read_frames(reader.probe(clip))]
    moved = [np.roll(frame, 6 * k, 1) + rng.normal(0, 12, frame.shape) for k, frame in enumerate(frames)]
    assert not any(is_cut(np.clip(frame, 0, 255).astype(np.uint8)) for frame in moved)


def test_fade_is_no_cut_and_a_cut_in_the_dark_is_one() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 16)).repeat(20, 0).repeat(20, 1).astype(np.uint8)
    is_cut = ShotDetector()
    assert not any(is_cut((image * level).astype(np.uint8)) for level in np.linspace(1, 0.2, 25))
    assert is_cut((image[::-1, ::-1] * 0.2).astype(np.uint8))
