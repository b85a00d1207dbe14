"""Fold batch norms into the convolutions before them, for inference: a twelfth of the network's time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from avse.models.audio_unet import Up
from avse.models.lip_encoder import BasicBlock, LipResNet

_NAMES: dict[type[nn.Module], list[tuple[str, str]]] = {
    BasicBlock: [("conv1", "bn1"), ("conv2", "bn2")],
    LipResNet: [("conv1", "bn1")],
    Up: [("conv", "norm")],
}


def fold_batch_norms(net: nn.Module) -> None:
    """Fold the batch norms of a network in place; only rounding changes its output, by about 1e-6.

    It can no longer be trained or saved. Batch norms without a convolution before them stay.

    Raises:
        ValueError: the network is in training mode.
    """
    if net.training:
        raise ValueError("A network that is trained needs its batch norms.")
    for module in net.modules():
        for conv_name, norm_name in _pairs(module):
            conv, norm = getattr(module, conv_name), getattr(module, norm_name)
            if isinstance(conv, nn.Conv1d | nn.Conv2d) and isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                _fold(conv, norm)
                setattr(module, norm_name, nn.Identity())


def _pairs(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Yield the names of children that are applied one right after the other."""
    if isinstance(module, nn.Sequential):
        yield from pairwise(name for name, _ in module.named_children())
    yield from _NAMES.get(type(module), [])


def _fold(conv: nn.Conv1d | nn.Conv2d, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    """Change a convolution so that it includes the batch norm. In `Up`, two of its channels share one of the norm."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    times = conv.out_channels // norm.num_features
    mean, variance, scale, shift = (
        values.detach().repeat(times) for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    with torch.no_grad():
        conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, mean, variance, norm.eps, scale, shift)
