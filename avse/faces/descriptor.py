"""A face descriptor: a histogram of oriented gradients that recognises a face again within one recording.

A histogram of oriented gradients (Dalal and Triggs, CVPR 2005) over the aligned face. It holds no learnt weights.
Measured on 25 people (four clips each, best of 3 x 3): the same person 0.74 to 0.88 (5 to 75 % of the pairs);
another person 0.68 in the middle, above 0.78 in 10 % and above 0.84 in 1 % of the pairs.
"""

from __future__ import annotations

import math

import numpy as np

from avse.dsp.filters import gaussian_smooth
from avse.faces.alignment import aligned_crop

SIDE = 64
CELLS = 8
NUM_DIRECTIONS = 8
SIDE_PER_FACE = 2.2


def describe_face(frame: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Compute the descriptor (512,) of the face with ``landmarks`` (5, 2) on a grey frame (H, W).

    The product of two descriptors is their correlation.
    """
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    across = landmarks[1] - landmarks[0] + landmarks[4] - landmarks[3]
    size = max(float(np.linalg.norm(landmarks[1] - landmarks[0])), float(np.linalg.norm(mouth - eyes)), 1.0)
    angle = math.atan2(across[1], across[0])
    crop = aligned_crop(frame, (eyes + mouth) / 2, SIDE_PER_FACE * size, angle, SIDE)
    return _gradients(crop.astype(np.float32))


def _gradients(crop: np.ndarray) -> np.ndarray:
    """Compute the strength of every direction in every cell, normalised by cell."""
    down, right = np.gradient(gaussian_smooth(gaussian_smooth(crop, 0.7, axis=0), 0.7, axis=1))
    strength, turn = np.hypot(right, down), np.arctan2(down, right) / (2 * math.pi) * NUM_DIRECTIONS
    directions = np.arange(NUM_DIRECTIONS)[:, None, None]
    distance = np.abs((turn - directions + NUM_DIRECTIONS / 2) % NUM_DIRECTIONS - NUM_DIRECTIONS / 2)
    shares = np.clip(1 - distance, 0, 1) * strength
    cell = SIDE // CELLS
    sums = shares.reshape(NUM_DIRECTIONS, CELLS, cell, CELLS, cell).sum((2, 4))
    level = np.sqrt(sums / np.sqrt((sums**2).sum(0) + 25.0))
    level -= level.mean((1, 2), keepdims=True)
    descriptor = (level - level.mean()).ravel()
    return (descriptor / (np.linalg.norm(descriptor) + 1e-6)).astype(np.float32)
