"""Random gains and offsets of the channels of a feature map, in training, so that later layers rely on them less."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FeatureNoise(nn.Module):
    """Scale and shift every channel of (B, C, ...) at random, once per example; in evaluation mode, do nothing (ours).

    x -> x max(1 + s n, 0) + s m d, with n and m standard normal, and d the channel's standard deviation over the batch.

    Args:
        strength: s; 0 changes nothing.
        probability: share of the examples that are changed.
    """

    def __init__(self, strength: float, probability: float = 1.0) -> None:
        super().__init__()
        self.strength, self.probability = strength, probability

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        if not (self.training and self.strength):
            return features
        shape = (*features.shape[:2], *[1] * (features.ndim - 2))
        chosen = torch.rand(len(features), *[1] * (features.ndim - 1), device=features.device) < self.probability
        strength = self.strength * chosen
        over = [dim for dim in range(features.ndim) if dim != 1]
        deviation = features.detach().std(dim=over, keepdim=True)
        gain = (1 + strength * torch.randn(shape, device=features.device)).clamp_min(0)
        return features * gain + strength * deviation * torch.randn(shape, device=features.device)
