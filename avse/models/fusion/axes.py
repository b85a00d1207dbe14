"""What the fusion parts agree on: `(B, C, ...)` features of any rank, and which of their axes is time.

Legend: `B` batch, `C` channels, `F` frequency bins, `T` STFT frames, `V` video frames, `H W` pixels, `L` time steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

TimeAxes = Sequence[int | None]


def check_features(features: Sequence[Tensor], channels: Sequence[int]) -> None:
    """Raise ValueError unless there is one `(B, C_m, ...)` tensor per modality, with the channels it was built for."""
    if len(features) != len(channels):
        raise ValueError(f"built for {len(channels)} modalities, called with {len(features)}")
    for index, (x, expected) in enumerate(zip(features, channels, strict=True)):
        if x.ndim < 2 or x.shape[1] != expected:
            raise ValueError(f"modality {index}: expected (B, {expected}, ...), got {tuple(x.shape)}")
        if x.shape[0] != features[0].shape[0]:
            raise ValueError(f"modality {index}: batch of {x.shape[0]} beside a batch of {features[0].shape[0]}")


def check_time_axes(time_axes: TimeAxes | None, num_modalities: int) -> list[int | None] | None:
    """Return the axes as a list; ValueError unless there is one (or None, for "no time") per modality."""
    if time_axes is not None and len(time_axes) != num_modalities:
        raise ValueError(f"{len(time_axes)} time axes for {num_modalities} modalities")
    return None if time_axes is None else list(time_axes)


def find_time_axes(features: Sequence[Tensor], time_axes: TimeAxes | None) -> list[int | None]:
    """Return each tensor's time axis as a positive index, or None where it has no time.

    By default axis 2 of 5-d `(B, C, V, H, W)` video, the last axis of anything else; `(B, C)` vectors have no time.
    """
    if time_axes is None:
        return [_default_time_axis(x.ndim) for x in features]
    return [_checked(axis, x.ndim) for axis, x in zip(time_axes, features, strict=True)]


def _default_time_axis(rank: int) -> int | None:
    if rank == 2:
        return None
    return 2 if rank == 5 else rank - 1


def _checked(axis: int | None, rank: int) -> int | None:
    if axis is None or rank == 2:
        return None
    if not (2 <= axis < rank or 2 - rank <= axis < 0):
        raise ValueError(f"time axis {axis} is not among the axes after the channels of a {rank}-d tensor")
    return axis % rank
