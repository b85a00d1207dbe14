"""Networks that classify words from lips, optical flow and audio, with late or intermediate fusion.

For benchmarks/grid_words.py.

Legend: `B` batch, `C` channels, `T` steps, `H W` pixels, `F` mel bands, `K` words of a kind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from grid_clips import MEL_BANDS, WORDS
from torch import Tensor, nn

from avse.models.fusion import MMTM, MSAF, SharedEncoder

Fusion = Literal["late", "MMTM", "MSAF", "AsymFusion"]
FUSIONS: tuple[Fusion, ...] = ("late", "MMTM", "MSAF", "AsymFusion")
LAYERS = (2, 2, 2, 2)
WIDTH = 8
CHANNELS = [WIDTH * 2**stage for stage in range(4)]
JOINED_STAGES = (1, 2, 3)
"""Stages, counted from 0, that MMTM and MSAF follow: all but the first."""
PLACES = {"colour": 0.25, "letter": 0.48, "digit": 0.64}
"""Position of the middle of each word before training, as a share of the sentence; training moves it."""
PARTS = 3
"""Number of windows into which a word is divided."""


class Words(nn.Module):
    """Map features over time (B, C, T) to logits of the three words, each from three windows with learned positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        offsets = torch.linspace(-0.06, 0.06, PARTS)
        self.middles = nn.Parameter(torch.stack([place + offsets for place in PLACES.values()]))
        self.log_widths = nn.Parameter(torch.full((len(PLACES), PARTS), 0.05).log())
        self.context = nn.Sequential(nn.Conv1d(channels, channels, 5, padding=2), nn.BatchNorm1d(channels), nn.ReLU())
        self.dropout = nn.Dropout(0.5)
        self.heads = nn.ModuleList(nn.Linear(PARTS * channels, len(kinds)) for kinds in WORDS.values())

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return logits (B, K) of colour, letter and digit."""
        steps = torch.linspace(0, 1, features.shape[-1])
        away = (steps - self.middles[..., None]) / self.log_widths.exp()[..., None]
        windows = torch.softmax(-(away**2) / 2, dim=-1)  # (words, parts, T)
        pooled = torch.einsum("bct,wpt->wbpc", self.context(features), windows).flatten(2)
        return [head(self.dropout(each)) for head, each in zip(self.heads, pooled, strict=True)]


class WordNet(nn.Module):
    """Classify words from lips, optical flow and, optionally, audio: one branch each, with averaged logits.

    With "late", the branches are not joined before their logits. MMTM and MSAF join them after three stages. With
    AsymFusion, lips and flow share one encoder with its exchange; audio takes no part, as its maps have another shape.
    """

    def __init__(self, fusion: Fusion, with_audio: bool) -> None:
        super().__init__()
        shared = fusion == "AsymFusion"
        self.encoders = nn.ModuleList(
            SharedEncoder(2, LAYERS, "basic", WIDTH, num_modalities=2 if shared else 1)
            for _ in range(1 if shared else 2)
        )
        self.audio = _audio_net() if with_audio else None
        num_branches = 3 if with_audio else 2
        joins = [] if fusion in ("late", "AsymFusion") else JOINED_STAGES
        self.joins = nn.ModuleList(_join(fusion, [CHANNELS[stage]] * num_branches) for stage in joins)
        self.words = nn.ModuleList(Words(CHANNELS[-1]) for _ in range(num_branches))

    def forward(self, lips: Tensor, flow: Tensor, audio: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Return logits (B, K) of the three words, and those of each branch.

        Lips and flow are (B, 2, T, H, W), audio is (B, F, 4 T).
        """
        num_steps = lips.shape[2]
        maps = self._encode(SharedEncoder.stem, [x.transpose(1, 2).flatten(0, 1) for x in (lips, flow)])
        branches: list[Tensor] = []
        for stage in range(len(LAYERS)):
            maps = self._encode(lambda encoder, *x, stage=stage: encoder.stage(stage, *x), maps)
            branches = [_unfold(x, num_steps) for x in maps]
            if self.audio is not None:
                audio = self.audio[stage](audio)
                branches.append(audio)
            if stage in JOINED_STAGES and self.joins:
                branches = list(self.joins[JOINED_STAGES.index(stage)](*branches))
                maps = [x.transpose(1, 2).flatten(0, 1) for x in branches[:2]]
                audio = branches[-1]
        found = [
            words(x.flatten(3).mean(3) if x.ndim > 3 else x) for words, x in zip(self.words, branches, strict=True)
        ]
        return [torch.stack(each).mean(0) for each in zip(*found, strict=True)], found

    def _encode(self, part: Callable[..., tuple[Tensor, ...]], maps: Sequence[Tensor]) -> list[Tensor]:
        """Apply a part of the shared encoder to both maps, or that of its own encoder to each."""
        if len(self.encoders) == 1:
            return list(part(self.encoders[0], *maps))
        return [part(encoder, x)[0] for encoder, x in zip(self.encoders, maps, strict=True)]


def _join(fusion: Fusion, channels: list[int]) -> nn.Module:
    """Build a block as published: gates for the whole sentence; MSAF with block dropout 0.2 and lambda 0.5."""
    if fusion == "MMTM":
        return MMTM.paper(channels)
    return MSAF(channels, block_channels=16, reduction=4, lowest_attention=0.5, block_dropout=0.2)


def _audio_net() -> nn.ModuleList:
    """Build four stages from log-mel (B, F, 4 T) to (B, C, T), with as many channels as the video stages."""
    sizes = [MEL_BANDS, *CHANNELS]
    return nn.ModuleList(
        nn.Sequential(nn.Conv1d(before, after, 5, 2 if stage < 2 else 1, 2), nn.BatchNorm1d(after), nn.ReLU())
        for stage, (before, after) in enumerate(pairwise(sizes))
    )


def _unfold(frames: Tensor, num_steps: int) -> Tensor:
    """Return (B, C, T, H, W) of frames (B T, C, H, W)."""
    return frames.unflatten(0, (-1, num_steps)).transpose(1, 2)
