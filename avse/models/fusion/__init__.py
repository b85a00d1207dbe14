"""Fusion methods for audio and video, by name.

Every block is called as `block(audio, video)` with audio `(B, C, F, T)` and video `(B, C', V, H, W)`, and returns both
in the shapes that it got. The parts behind them join any branches of any model: see `mmtm`, `msaf` and `asym`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import nn

from avse.errors import UsageError
from avse.models.fusion.asym import (
    AsymFusionBlock,
    AsymSpeechFusion,
    PrivateBatchNorm,
    channel_shuffle,
    pixel_shift,
)
from avse.models.fusion.asym_encoder import AsymBasicBlock, Ensemble, SharedEncoder
from avse.models.fusion.cwc import CWC, NoFusion
from avse.models.fusion.mmtm import MMTM
from avse.models.fusion.msaf import MSAF

__all__ = [
    "CWC",
    "FUSIONS",
    "MMTM",
    "MSAF",
    "SITES",
    "AsymBasicBlock",
    "AsymFusionBlock",
    "AsymSpeechFusion",
    "Ensemble",
    "NoFusion",
    "PrivateBatchNorm",
    "SharedEncoder",
    "build_fusion",
    "channel_shuffle",
    "pixel_shift",
]


def _speech_msaf(audio_channels: int, video_channels: int) -> MSAF:
    """Build MSAF with one segment, as positions in a recording carry no meaning; half of each feature passes (ours)."""
    block_channels = min(16, audio_channels, video_channels)
    reduction = min(4, block_channels)
    return MSAF([audio_channels, video_channels], block_channels, reduction, lowest_attention=0.5)


FUSIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda audio_channels, video_channels: NoFusion(),
    "cwc": CWC,
    "mmtm": lambda audio_channels, video_channels: MMTM([audio_channels, video_channels], squeeze="time"),
    "mmtm-global": lambda audio_channels, video_channels: MMTM.paper([audio_channels, video_channels]),
    "mmtm-audio": lambda audio_channels, video_channels: MMTM(
        [audio_channels, video_channels], squeeze="time", gated=[0]
    ),
    "msaf": _speech_msaf,
    "asym": AsymSpeechFusion,
}
"""What builds each fusion from the channels of audio and of video."""

SITES: dict[str, Literal["all", "bottleneck"]] = {
    "none": "bottleneck",
    "cwc": "bottleneck",
    "mmtm": "all",
    "mmtm-global": "all",
    "mmtm-audio": "all",
    "msaf": "all",
    "asym": "all",
}
"""Where each fusion sits in the net: at every depth at which the streams meet, or at the deepest alone."""


def build_fusion(name: str, audio_channels: int, video_channels: int) -> nn.Module:
    """Build one fusion block; UsageError (a ValueError) for a name that is not in `FUSIONS`."""
    if name not in FUSIONS:
        raise UsageError(
            f"there is no fusion called {name!r}",
            f"choose one of: {', '.join(FUSIONS)}",
        )
    return FUSIONS[name](audio_channels, video_channels)
