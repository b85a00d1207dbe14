"""Temporal residual blocks of both streams.

Legend: `B` batch, `C` channels, `L` time steps.
"""

from __future__ import annotations

from torch import Tensor, nn


class TemporalContext(nn.Module):
    """Apply dilated convolutions in time with residual connections (ours): shape unchanged."""

    def __init__(self, channels: int, dilations: tuple[int, ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm1d(channels),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
            )
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        for layer in self.layers:
            x = x + layer(x)
        return x


class TimeAttention(nn.Module):
    """Apply residual self-attention over all time steps; it starts at zero: shape unchanged.

    It reaches further than the convolutions: the same voice a second earlier or later (ours).
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        nn.init.zeros_(self.attention.out_proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        steps = self.norm(x.transpose(1, 2))
        answer, _ = self.attention(steps, steps, steps)
        return x + answer.transpose(1, 2)
