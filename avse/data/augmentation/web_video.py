"""Degrade mouth crops like webcams and video platforms: resolution, block compression, noise, shake, lost frames.

Legend: `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import dctn, idctn

BLOCK = 8
PIXELS = (14, 64)


def degrade(mouths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Degrade mouth crops uint8 (V, H, W) like a webcam and a video platform; black frames stay black."""
    seen = np.asarray(mouths.any(axis=(1, 2)))
    if not seen.any():
        return mouths
    changed = _shake(mouths, rng) if rng.random() < 0.5 else mouths
    if rng.random() < 0.25:
        changed = _repeat_frames(changed, rng)
    few = _resize(changed, int(rng.integers(PIXELS[0], PIXELS[1] + 1)))
    if rng.random() < 0.4:
        few = few + rng.normal(0.0, rng.uniform(1.0, 10.0), few.shape).astype(np.float32)
    if rng.random() < 0.7:
        few = compress_blocks(few, rng.uniform(4.0, 40.0))
    large = np.clip(np.rint(_resize(few, mouths.shape[-1])), 1, 255).astype(np.uint8)
    return large * seen[:, None, None]


def _shake(mouths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Shift every frame by a pixel or two, like an unsteady face tracker."""
    moves = np.rint(rng.normal(0.0, rng.uniform(0.3, 1.5), (len(mouths), 2))).astype(int)
    return np.stack([np.roll(frame, tuple(move), (0, 1)) for frame, move in zip(mouths, moves, strict=True)])


def _repeat_frames(mouths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Repeat some frames instead of showing the next one, as at a low frame rate or with lost frames."""
    kept = rng.random(len(mouths)) > rng.uniform(0.1, 0.5)
    kept[0] = True
    return mouths[np.maximum.accumulate(np.where(kept, np.arange(len(mouths)), 0))]


def _resize(mouths: np.ndarray, side: int) -> np.ndarray:
    """Resize mouths to (V, side, side), float32: by area averages, or by interpolation."""
    pixels = torch.from_numpy(np.ascontiguousarray(mouths, np.float32))[:, None]
    how = {"mode": "area"} if side < mouths.shape[-1] else {"mode": "bilinear", "align_corners": False}
    resized: np.ndarray = F.interpolate(pixels, (side, side), **how)[:, 0].numpy()
    return resized


def compress_blocks(mouths: np.ndarray, step: float) -> np.ndarray:
    """Quantise the cosine transform of blocks of 8 x 8 pixels, high frequencies more coarsely, like JPEG and H.264."""
    side = mouths.shape[-1]
    padded = np.pad(mouths, ((0, 0), (0, -side % BLOCK), (0, -side % BLOCK)), "edge")
    num = padded.shape[-1] // BLOCK
    blocks = padded.reshape(-1, num, BLOCK, num, BLOCK)
    fineness = np.add.outer(np.arange(BLOCK), np.arange(BLOCK))
    size = (step * (1 + fineness / 4)).astype(np.float32)[:, None, :]
    cosines = np.rint(dctn(blocks, axes=(2, 4), norm="ortho") / size) * size
    restored: np.ndarray = idctn(cosines, axes=(2, 4), norm="ortho").reshape(padded.shape)
    return restored[:, :side, :side].astype(np.float32)
