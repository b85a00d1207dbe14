"""Mouth motion: how much the mouth itself changes from frame to frame, head motion removed.

Legend: `K` faces, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

MOTION_SIDE = 22


def mouth_change(mouths: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Compute the mean change (V, K) of each mouth from frame to frame, relative to its contrast; 0 where not visible.

    Args:
        mouths: (K, V, H, W), grey, 88 or 44 pixels a side.
        visible: (K, V) bool.

    The change that a movement of the whole crop explains (translation, rotation, scale, brightness; one least-squares
    step as in Lucas and Kanade, 1981) is subtracted first: a head may nod while the mouth is at rest.
    """
    small = F.avg_pool2d(mouths.float(), mouths.shape[-1] // MOTION_SIDE)
    deviation, mean = torch.std_mean(small, dim=(-2, -1), keepdim=True, correction=0)
    plain = (small - mean) / (deviation + 1.0)
    difference, between = plain.diff(dim=1).flatten(2), (plain[:, 1:] + plain[:, :-1]) / 2
    basis = _movement_basis(between).flatten(3)  # (K, V - 1, movements, pixels)
    gram = basis @ basis.mT + 0.01 * torch.eye(basis.shape[2])
    share = torch.linalg.solve(gram, basis @ difference[..., None])
    rest = (difference - (share * basis).sum(2)).unflatten(-1, small.shape[-2:])[..., 8:18, 5:17]
    change = rest.abs().mean((-2, -1)) * (visible[:, 1:] & visible[:, :-1])
    return F.pad(change, (1, 0)).T


def _movement_basis(images: torch.Tensor) -> torch.Tensor:
    """Return the derivatives of images (..., H, W) by translation, rotation, scale and brightness: (..., 6, H, W)."""
    down, right = torch.gradient(images, dim=(-2, -1))
    y, x = (torch.linspace(-1, 1, size) for size in images.shape[-2:])
    y = y[:, None]
    rotated, scaled = x * down - y * right, x * right + y * down
    return torch.stack([down, right, rotated, scaled, images, torch.ones_like(images)], -3)
