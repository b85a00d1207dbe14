"""The audio stream: a convolutional autoencoder with skip connections that strides in frequency and keeps time.

Legend: `B` batch, `C` channels, `F` frequency bins, `T` STFT frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from avse.models.blocks import TemporalContext, TimeAttention


class AudioUNet(nn.Module):
    """Run encoder stages (each halves F), a bottleneck and decoder stages, callable one by one.

    Args:
        num_bins: F of the input, divisible by 2 ** len(channels).
        channels: of the encoder's stages.
        is_complex: whether the mask has a phase, too.
        attention_heads: of the bottleneck's attention over time; 0: none.
        rounds: number of context blocks in the bottleneck.
    """

    def __init__(
        self, num_bins: int, channels: Sequence[int], is_complex: bool, attention_heads: int = 0, rounds: int = 1
    ) -> None:
        super().__init__()
        inputs = [1, *channels[:-1]]
        self.norm = nn.BatchNorm1d(num_bins)
        self.encoder = nn.ModuleList(_down(i, o, 5 if i == 1 else 3) for i, o in zip(inputs, channels, strict=True))
        self.bottleneck = Bottleneck(channels[-1], num_bins >> len(channels), attention_heads, rounds)
        outputs = [channels[0], *channels[:-1]]
        self.decoder = nn.ModuleList(Up(i, o) for i, o in zip(channels, outputs, strict=True))
        self.mask = nn.Conv2d(channels[0], 1, 3, padding=1)
        self.turn = nn.Conv2d(channels[0], 1, 3, padding=1) if is_complex else None
        if self.turn is not None:
            for value in self.turn.parameters():
                nn.init.zeros_(value)

    def start(self, magnitude: Tensor) -> Tensor:
        """Normalise every frequency bin: (B, F, T) -> (B, 1, F, T)."""
        return self.norm(magnitude).unsqueeze(1).contiguous(memory_format=torch.channels_last)

    def encode(self, index: int, x: Tensor) -> Tensor:
        """Apply encoder stage ``index``: (B, C, F, T) -> (B, C', F / 2, T)."""
        answer: Tensor = self.encoder[index](x)
        return answer

    def decode(self, x: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Apply the decoder stages, deepest first; ``skips`` are the outputs of the encoder stages, after fusion.

        Returns the mask (B, F, T) in (0, 1); if complex, with a phase, which is 0 before training.
        """
        x = x + skips[-1]
        for index in reversed(range(len(self.decoder))):
            x = self.decoder[index](x)
            if index > 0:
                x = x + skips[index - 1]
        gain = torch.sigmoid(self.mask(x)[:, 0])
        if self.turn is None:
            return gain
        return torch.polar(gain.float(), math.pi * torch.tanh(self.turn(x)[:, 0].float()))


class ContextBlock(nn.Module):
    """Add temporal context: a second by convolutions, then the whole window by attention: (B, C, T) -> (B, C, T)."""

    def __init__(self, channels: int, attention_heads: int) -> None:
        super().__init__()
        self.context = TemporalContext(channels, dilations=(1, 2, 4, 8, 16))
        self.recall = TimeAttention(channels, attention_heads) if attention_heads else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        answer: Tensor = self.recall(self.context(x))
        return answer

    def init_near_identity(self) -> ContextBlock:
        """Scale the block's output close to zero, so that it can be inserted into a trained network."""
        for norm in self.context.modules():
            if isinstance(norm, nn.BatchNorm1d):
                nn.init.constant_(norm.weight, 0.05)
        return self


class Bottleneck(ContextBlock):
    """Map each frame to one vector, apply one or more context blocks, and map it back: shape unchanged."""

    def __init__(self, channels: int, num_bins: int, attention_heads: int = 0, rounds: int = 1) -> None:
        super().__init__(2 * channels, attention_heads)
        self.gather = nn.Conv1d(channels * num_bins, 2 * channels, 1)
        self.further = nn.ModuleList(
            ContextBlock(2 * channels, attention_heads).init_near_identity() for _ in range(rounds - 1)
        )
        self.spread = nn.Conv1d(2 * channels, channels * num_bins, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> (B, C, F, T)."""
        context = super().forward(self.gather(x.flatten(1, 2)))
        for block in self.further:
            context = block(context)
        answer: Tensor = self.spread(context)
        return x + answer.unflatten(1, x.shape[1:3])


class Up(nn.Module):
    """Double F by giving every bin twice the channels and interleaving them: (B, C, F, T) -> (B, C', 2 F, T)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 2 * out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stage."""
        pairs = self.conv(x).permute(0, 2, 3, 1).unflatten(3, (2, -1))  # (B, F, T, 2, C')
        interleaved = pairs.transpose(2, 3).flatten(1, 2).permute(0, 3, 1, 2)  # channels stay last in memory
        return torch.relu_(self.norm(interleaved))


def _down(in_channels: int, out_channels: int, height: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, (height, 3), stride=(2, 1), padding=(height // 2, 1), bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
