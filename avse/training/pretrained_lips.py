"""A start for the lip stream from a ResNet-18 trained on images (torchvision's weights)."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor

from avse.errors import UsageError
from avse.models.net import SpeechNet

REMEDY = "Use the weights of torchvision's resnet18: its state_dict, saved with torch.save."


def load_pretrained_lips(net: SpeechNet, path: Path) -> None:
    """Start the lip stream's ResNet of a net of lip_width 64 from torchvision's resnet18.

    The net's other parts stay as they are. Only tensors are unpickled.

    Raises:
        UsageError: the file cannot be read, or holds no ResNet-18.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise UsageError(
            f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}", REMEDY
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError(f"{path} is not a weights file.", REMEDY)
    assert net.lips is not None
    try:
        net.lips.resnet.load_torchvision(state)
    except (KeyError, RuntimeError, IndexError) as error:
        raise UsageError(f"{path} does not contain a ResNet-18: names or shapes differ.", REMEDY) from error
