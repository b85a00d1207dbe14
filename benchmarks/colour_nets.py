"""Networks that predict colours from edges and luminance, on AsymFusion's encoder; for benchmarks/asym_colour.py.

Legend: `B` batch, `H W` pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avse.models.fusion import Ensemble, SharedEncoder

LAYERS = (2, 2, 2, 2)
WIDTH = 10
"""Channels of the stem; the exchange works on fifths of them."""
STAGE_CHANNELS = [4 * WIDTH * 2**stage for stage in range(4)]
REDUCTION = 4
"""Ratio of the images' rows and columns to those of the first stage."""
DECODER_CHANNELS = 32

Stages = Sequence[Tensor]
"""Maps of the four stages of one modality."""


class Decoder(nn.Module):
    """Decode four stages to colours: project to 32 channels, resize to the first stage, sum, and shuffle to pixels."""

    def __init__(self, num_inputs: int = 1) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(num_inputs * count, DECODER_CHANNELS, 1) for count in STAGE_CHANNELS)
        self.mix = nn.Conv2d(DECODER_CHANNELS, 2 * DECODER_CHANNELS, 3, padding=1)
        self.colours = nn.Conv2d(2 * DECODER_CHANNELS, 3 * REDUCTION**2, 3, padding=1)

    def forward(self, stages: Stages) -> Tensor:
        """Return colours (B, 3, H, W)."""
        size = stages[0].shape[-2:]
        maps = [lateral(x) for lateral, x in zip(self.lateral, stages, strict=True)]
        joined = torch.stack([F.interpolate(x, size=size, mode="bilinear") for x in maps]).sum(0)
        return F.pixel_shuffle(self.colours(torch.relu(self.mix(torch.relu(joined)))), REDUCTION).sigmoid()


def encoder(num_modalities: int, exchange: bool = False) -> SharedEncoder:
    """Build a bottleneck ResNet; with ``exchange``, the last block of every stage exchanges."""
    flags = None if exchange else [[False] * count for count in LAYERS]
    return SharedEncoder(1, LAYERS, "bottleneck", WIDTH, num_modalities, flags)


class ColourNet(nn.Module, ABC):
    """Predict colours in two directions, one per image, and by a learned mean of both; the decoder is shared."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder, self.ensemble = Decoder(), Ensemble()

    @abstractmethod
    def encode(self, edges: Tensor, luminance: Tensor) -> list[Stages]:
        """Return the stages of each direction."""

    def forward(self, edges: Tensor, luminance: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return colours (B, 3, H, W) of images (B, 1, H, W), and those of each direction."""
        found = [self.decoder(stages) for stages in self.encode(edges, luminance)]
        return self.ensemble(*found), found


class Separate(ColourNet):
    """Use one encoder per image."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoder(1) for _ in range(2))

    def encode(self, edges: Tensor, luminance: Tensor) -> list[Stages]:
        """Encode each image with its own network."""
        inputs = zip(self.encoders, (edges, luminance), strict=True)
        return [[maps[0] for maps in each(image)] for each, image in inputs]


class SharedNorms(ColourNet):
    """Use one encoder with shared batch norms for both images."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = encoder(1)

    def encode(self, edges: Tensor, luminance: Tensor) -> list[Stages]:
        """Encode both images as one batch."""
        stages = self.encoder(torch.cat([edges, luminance]))
        return [list(each) for each in zip(*(maps[0].chunk(2) for maps in stages), strict=True)]


class Shared(ColourNet):
    """Use AsymFusion's encoder: shared convolutions, private batch norms, with or without the exchange."""

    def __init__(self, exchange: bool) -> None:
        super().__init__()
        self.encoder = encoder(2, exchange)

    def encode(self, edges: Tensor, luminance: Tensor) -> list[Stages]:
        """Encode both images with one network."""
        return [list(each) for each in zip(*self.encoder(edges, luminance), strict=True)]


class Concatenated(nn.Module):
    """Use one encoder per image and concatenate their stages before the decoder: the usual fusion."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoder(1) for _ in range(2))
        self.decoder = Decoder(num_inputs=2)

    def forward(self, edges: Tensor, luminance: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return colours (B, 3, H, W), and the same as the only direction."""
        inputs = zip(self.encoders, (edges, luminance), strict=True)
        found = self.decoder([torch.cat(maps, 1) for maps in zip(*(_one(e, x) for e, x in inputs), strict=True)])
        return found, [found]


def _one(network: nn.Module, image: Tensor) -> list[Tensor]:
    return [maps[0] for maps in network(image)]
