"""Mouth motion: how much the mouth itself changes from frame to frame, head motion removed.

Legend: `K` faces, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def mouth_change(pictures: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Mean change (V, K) of the mouth itself from frame to frame, in units of the contrast; 0 where not seen.

    What a movement of the whole crop would explain (shift, turn, size, brightness; one step of least squares, as in
    Lucas and Kanade, 1981) is taken off first: a head may nod while the mouth rests.
    """
    small = F.avg_pool2d(pictures.float(), 4)
    deviation, mean = torch.std_mean(small, dim=(-2, -1), keepdim=True, correction=0)
    plain = (small - mean) / (deviation + 1.0)
    difference, between = plain.diff(dim=1).flatten(2), (plain[:, 1:] + plain[:, :-1]) / 2
    basis = _movement_basis(between).flatten(3)  # (K, V - 1, movements, pixels)
    gram = basis @ basis.mT + 0.01 * torch.eye(basis.shape[2])
    share = torch.linalg.solve(gram, basis @ difference[..., None])
    rest = (difference - (share * basis).sum(2)).unflatten(-1, small.shape[-2:])[..., 8:18, 5:17]
    change = rest.abs().mean((-2, -1)) * (seen[:, 1:] & seen[:, :-1])
    return F.pad(change, (1, 0)).T


def _movement_basis(pictures: torch.Tensor) -> torch.Tensor:
    """How pictures (..., H, W) change if they are shifted, turned, enlarged or brightened: (..., 6, H, W)."""
    down, right = torch.gradient(pictures, dim=(-2, -1))
    y, x = (torch.linspace(-1, 1, size) for size in pictures.shape[-2:])
    y = y[:, None]
    turned, larger = x * down - y * right, x * right + y * down
    return torch.stack([down, right, turned, larger, pictures, torch.ones_like(pictures)], -3)
