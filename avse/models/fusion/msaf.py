"""MSAF, Multimodal Split Attention Fusion (Su, Hu, Li, Cao; 2020; arXiv:2012.07175).

The channels of every modality are split into blocks of one width. A softmax over the blocks, computed from
all of them together, weights every channel of every block. Shapes do not change.

Legend: `B` batch, `C` channels of a block, `C'` reduced width, `C_m` channels of modality m, `n_m` its blocks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avse.models.fusion.axes import TimeAxes, check_features, check_time_axes, find_time_axes


class MSAF(nn.Module):
    """Weight blocks of channels of two or more modalities by split attention (section 3 of the paper).

        split      X_m -> blocks B_m^i of C channels, i = 1..n_m = ceil(C_m / C)
        join       S_m = sum_i B_m^i;  D_m = mean of S_m over its own dimensions;  G = sum_m D_m
                   Z = ReLU(BatchNorm(W_Z G + b_Z)) in R^C',  C' = C // reduction
        highlight  U_m^i = W_m^i Z + b_m^i in R^C;  softmax per channel over ALL blocks of ALL modalities
                   A = lambda + (1 - lambda) softmax;  B~_m^i = A_m^i (.) B_m^i, joined again to the shape of X_m

    With several `segments` the time axis of every modality is cut into that many pieces of equal length (the last one
    takes the remainder), and each piece has its own split attention, so that streams of different lengths are
    fused piece by piece. Channels that do not divide are padded with zeros, and the padding is dropped again (ours).
    A training batch of one, which has no variance, is normalised by the running statistics (ours).

    Args:
        channels: channels of each modality, two modalities or more.
        block_channels: C.
        reduction: how many times narrower than a block Z is.
        lowest_attention: lambda, what every block keeps at least, 0 to 1.
        block_dropout: in training, the chance that a block of a sample is zeroed before pooling; the others are scaled
            up in return. One mask serves the joint representation and the output, as in the released code.
        segments: pieces of the time axis.
        time_axes: each modality's time axis, for `segments` > 1. Default: axis 2 of 5-d `(B, C, V, H, W)` tensors and
            the last axis of others; `(B, C)` vectors have no time and cannot be cut.

    Raises:
        ValueError: fewer than two modalities, an empty Z, no segment, lambda or dropout out of range, or time axes
            that do not fit.
    """

    def __init__(
        self,
        channels: Sequence[int],
        block_channels: int,
        reduction: int = 4,
        lowest_attention: float = 0.0,
        block_dropout: float = 0.0,
        segments: int = 1,
        time_axes: TimeAxes | None = None,
    ) -> None:
        super().__init__()
        _check_settings(channels, block_channels, reduction, lowest_attention, block_dropout, segments)
        self.channels = list(channels)
        self.block_channels = block_channels
        self.lowest_attention = lowest_attention
        self.block_dropout = block_dropout
        self.num_segments = segments
        self.time_axes = check_time_axes(time_axes, len(channels))
        if segments > 1:
            one_segment = (channels, block_channels, reduction, lowest_attention, block_dropout)
            self.segments = nn.ModuleList(MSAF(*one_segment) for _ in range(segments))
            return
        hidden = block_channels // reduction
        self.join = nn.Linear(block_channels, hidden)
        self.norm = nn.BatchNorm1d(hidden)
        self.highlight = nn.ModuleList(
            nn.ModuleList(nn.Linear(hidden, block_channels) for _ in range(_num_blocks(count, block_channels)))
            for count in channels
        )

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Return one tensor per modality, shapes unchanged; features are `(B, C_m, ...)` of any rank >= 2.

        Raises:
            ValueError: another number of modalities or of channels than built for, or fewer time steps than segments.
        """
        check_features(features, self.channels)
        return self._attend(features) if self.num_segments == 1 else self._attend_by_segment(features)

    def _attend(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        kept = [self._block_mask(x) for x in features]  # (B, n_m, 1) each
        pooled = [self._pooled_blocks(x) * mask for x, mask in zip(features, kept, strict=True)]
        joined = torch.stack([blocks.sum(1) for blocks in pooled]).sum(0)  # G, (B, C)
        hidden = torch.relu(self._normalise(self.join(joined)))
        logits = [highlight(hidden) for blocks in self.highlight for highlight in blocks.children()]
        attention = torch.softmax(torch.stack(logits, dim=1), dim=1)  # (B, all blocks, C)
        attention = (self.lowest_attention + (1 - self.lowest_attention) * attention) * torch.cat(kept, dim=1)
        shares = attention.split(
            [_num_blocks(count, self.block_channels) for count in self.channels], dim=1
        )  # (B, n_m, C) each
        return tuple(_stress(x, share) for x, share in zip(features, shares, strict=True))

    def _attend_by_segment(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        axes = find_time_axes(features, self.time_axes)
        pieces = [_cut(x, axis, self.num_segments) for x, axis in zip(features, axes, strict=True)]
        attended = [segment(*piece) for segment, piece in zip(self.segments, zip(*pieces, strict=True), strict=True)]
        return tuple(
            torch.cat(parts, dim=2 if axis is None else axis)
            for parts, axis in zip(zip(*attended, strict=True), axes, strict=True)
        )

    def _pooled_blocks(self, x: Tensor) -> Tensor:
        """Return the mean of every block over its dimensions, `(B, n_m, C)`: pooling and summing blocks commute."""
        pooled = x.flatten(2).mean(-1) if x.ndim > 2 else x
        return F.pad(pooled, (0, -x.shape[1] % self.block_channels)).unflatten(1, (-1, self.block_channels))

    def _normalise(self, joined: Tensor) -> Tensor:
        norm = self.norm
        if self.training and joined.shape[0] == 1:
            return F.batch_norm(joined, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        normalised: Tensor = norm(joined)
        return normalised

    def _block_mask(self, x: Tensor) -> Tensor:
        """Draw block dropout, `(B, n_m, 1)`: Bernoulli(1 - p) / (1 - p) per sample and block in training, else 1."""
        ones = x.new_ones(x.shape[0], _num_blocks(x.shape[1], self.block_channels), 1)
        return F.dropout(ones, self.block_dropout, self.training)


def _num_blocks(channels: int, block_channels: int) -> int:
    return -(-channels // block_channels)


def _check_settings(
    channels: Sequence[int], block_channels: int, reduction: int, lowest: float, dropout: float, segments: int
) -> None:
    if len(channels) < 2 or min(channels) < 1:
        raise ValueError(f"needs two modalities or more, each with channels, not {list(channels)}")
    if not 1 <= reduction <= block_channels:
        raise ValueError(f"reduction {reduction} leaves nothing of blocks of {block_channels} channels")
    if not (0 <= lowest <= 1 and 0 <= dropout < 1):
        raise ValueError(f"lowest_attention {lowest} must be in [0, 1] and block_dropout {dropout} in [0, 1)")
    if segments < 1:
        raise ValueError(f"needs one segment or more, not {segments}")


def _stress(x: Tensor, attention: Tensor) -> Tensor:
    """Return X_m weighed by the attention `(B, n_m, C)` of its blocks, that of the padding left out."""
    weights = attention.flatten(1)[:, : x.shape[1]]
    return x * weights.reshape(*x.shape[:2], *[1] * (x.ndim - 2))


def _cut(x: Tensor, axis: int | None, num_pieces: int) -> tuple[Tensor, ...]:
    """Cut x along its time axis into pieces of equal length, the remainder going to the last."""
    num_steps = 1 if axis is None else x.shape[axis]
    if axis is None or num_steps < num_pieces:
        raise ValueError(f"{num_steps} time steps cannot be cut into {num_pieces} segments")
    length = num_steps // num_pieces
    return x.split([length] * (num_pieces - 1) + [num_steps - length * (num_pieces - 1)], dim=axis)
