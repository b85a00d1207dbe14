"""Parts that both streams use.

Legend: `B` batch, `C` channels, `L` time steps.
"""

from __future__ import annotations

from torch import Tensor, nn


class TemporalContext(nn.Module):
    """Dilated convolutions in time, around each of which the input is carried (ours): shape unchanged."""

    def __init__(self, channels: int, dilations: tuple[int, ...], dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        for layer in self.layers:
            x = x + layer(x)
        return x
