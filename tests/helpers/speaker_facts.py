"""Made-up facts of which faces speak, and face tracks at a place."""

from __future__ import annotations

import numpy as np

from avse.active_speaker import correlation
from avse.faces.tracking import Face, Track

NUM_FRAMES = 500


def made_facts(num_faces: int = 2, late: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What lips predict, energies like the first face's, changes and flags: faces, frames, bands as in use."""
    rng = np.random.default_rng(0)
    predicted = rng.standard_normal((NUM_FRAMES, num_faces, 20))
    energies = correlation.shift_frames(predicted[:, 0], -late) * 8 + 25 * rng.standard_normal((NUM_FRAMES, 20)) - 40
    change = np.full((num_faces, NUM_FRAMES), 0.2)
    return predicted, energies, change, np.ones((num_faces, NUM_FRAMES), bool)


def made_track(left: float) -> Track:
    face = Face(np.array([left, 0, left + 40, 40]), np.zeros((5, 2)), 0.9)
    return Track([0, 5], [face, face])
