"""MMTM, the Multimodal Transfer Module (Vaezi Joze, Shaban, Iuzzolino, Koishida; CVPR 2020; arXiv:1911.08670).

Every modality is squeezed to a vector of its channels, all squeezes are joined, and from them a gate is computed
for each channel of each modality. Shapes do not change, so it fits between any layers of any branches.

Legend: `B` batch, `C` channels, `L` time steps; the rest of each modality's dimensions is its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avse.models.fusion.axes import TimeAxes, check_features, check_time_axes, find_time_axes


class MMTM(nn.Module):
    """Gate the channels of two or more modalities by each other (equations 1 to 5).

        S_m = mean of X_m over all but the channels         (eq. 1, 2)
        Z   = W [S_1, S_2, ...] + b                         (eq. 3), hidden width int(sum(channels) / reduction)
        E_m = W_m Z + b_m                                   (eq. 4)
        X~_m = gate_scale * sigmoid(E_m) (.) X_m            (eq. 5), per channel

    `squeeze="time"` (ours, after AV(SE)^2, ICASSP 2020) keeps the time axis in the mean, so that there is one gate per
    channel *and step*. Shorter squeezes are interpolated linearly to the longest length, and
    each E_m is interpolated back to its own modality's length. A stream without time is constant over time, and is
    gated by the mean of its E_m over the steps.

    Args:
        channels: channels of each modality, two modalities or more.
        reduction: how many times narrower than all channels together Z is.
        gate_scale: 2 in the paper (E = 0 leaves the features as they are), 1 in its released code.
        activation: a ReLU on Z, as in the released code.
        squeeze: mean over everything ("global", the paper's) or over everything but time ("time").
        time_axes: for "time", each modality's time axis, None for one without time. Default: axis 2 of 5-d
            `(B, C, V, H, W)` tensors and the last axis of others; `(B, C)` vectors never have time.
        gated: which modalities get a gate, counted from 0; the others pass as they are. Default: all.

    Raises:
        ValueError: fewer than two modalities, an empty Z, nothing to be gated or what is not there, an unknown squeeze,
            or as many time axes as do not fit.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reduction: float = 4,
        gate_scale: float = 2.0,
        activation: bool = False,
        squeeze: Literal["global", "time"] = "global",
        time_axes: TimeAxes | None = None,
        gated: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        hidden = int(sum(channels) / reduction) if reduction > 0 else 0
        if len(channels) < 2 or min(channels) < 1 or hidden < 1:
            raise ValueError(f"cannot join channels {list(channels)} with reduction {reduction}")
        self.gated = list(range(len(channels)) if gated is None else gated)
        if not set() < set(self.gated) <= set(range(len(channels))):
            raise ValueError(f"there are {len(channels)} modalities to be gated, counted from 0, not {self.gated}")
        if squeeze not in ("global", "time"):
            raise ValueError(f"squeeze is 'global' or 'time', not {squeeze!r}")
        self.channels = list(channels)
        self.gate_scale = gate_scale
        self.activation = activation
        self.keeps_time = squeeze == "time"
        self.time_axes = check_time_axes(time_axes, len(channels))
        self.squeeze = nn.Linear(sum(channels), hidden)
        self.excite = nn.ModuleList(
            nn.Linear(hidden, count) if m in self.gated else nn.Identity() for m, count in enumerate(channels)
        )

    @classmethod
    def paper(cls, channels: Sequence[int]) -> MMTM:
        """Build the module of the paper's text: gate in (0, 2), Z linear and a quarter of all channels."""
        return cls(channels)

    @classmethod
    def reference(cls, channels: Sequence[int], ratio: float = 4) -> MMTM:
        """Build the module of the authors' released code: gate in (0, 1), ReLU on Z, `int(2 * sum / ratio)` wide."""
        return cls(channels, reduction=ratio / 2, gate_scale=1.0, activation=True)

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Return one gated tensor per modality, shapes unchanged; features are `(B, C_m, ...)` of any rank >= 2.

        Raises:
            ValueError: another number of modalities or of channels than built for, or a time axis that is not there.
        """
        check_features(features, self.channels)
        axes = find_time_axes(features, self.time_axes) if self.keeps_time else [None] * len(features)
        joined = _join([_squeeze(x, axis) for x, axis in zip(features, axes, strict=True)])
        hidden = self.squeeze(joined.transpose(1, 2))  # (B, L, C_Z)
        if self.activation:
            hidden = torch.relu(hidden)
        answers = list(features)
        for m in self.gated:
            answers[m] = self._gate(features[m], axes[m], self.excite[m](hidden).transpose(1, 2))
        return tuple(answers)

    def _gate(self, x: Tensor, axis: int | None, excitation: Tensor) -> Tensor:
        """Gate x by its excitation `(B, C_m, L)`, brought to x's own length."""
        shape = [*x.shape[:2], *[1] * (x.ndim - 2)]
        if axis is None:
            own = excitation.mean(-1)
        else:
            shape[axis] = x.shape[axis]
            own = _to_length(excitation, x.shape[axis])
        return x * (self.gate_scale * torch.sigmoid(own)).reshape(shape)


def _squeeze(x: Tensor, axis: int | None) -> Tensor:
    """Return the mean over everything but batch, channels and time: `(B, C, L)`, with L = 1 where there is no time."""
    if axis is None:
        return x.flatten(2).mean(-1, keepdim=True) if x.ndim > 2 else x.unsqueeze(-1)
    return x.movedim(axis, 2).flatten(3).mean(-1) if x.ndim > 3 else x


def _join(squeezes: list[Tensor]) -> Tensor:
    """Return all squeezes at the length of the longest, one after the other: `(B, sum of C_m, L)`."""
    longest = max(s.shape[-1] for s in squeezes)
    return torch.cat([_to_length(s, longest) for s in squeezes], dim=1)


def _to_length(x: Tensor, length: int) -> Tensor:
    """Resample `(B, C, L)` to another number of steps over the same stretch of time."""
    if x.shape[-1] == length:
        return x
    return F.interpolate(x, size=length, mode="linear", align_corners=False)
