"""AsymFusion: asymmetric multi-layer fusion (Wang, Sun, Lu, Yao; ACM MM 2020; arXiv:2108.05009).

One network serves two modalities: they share every convolution and keep their own batch norms. Between the layers they
exchange features without any parameter, by swapping channels and by shifting pixels.

Legend: `B` batch, `C` channels, `H W` rows and columns of a map (for audio: `F` frequency bins and `T` STFT frames),
`V` video frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUM_GROUPS = 5
"""Channels come in five groups: four stay and are shifted, one direction each; the rest is exchanged."""

PROFILE_KNOTS = 8


def _num_kept(channels: int) -> int:
    """Return k = 4 g, g = C // 5: how many of the channels stay with their modality."""
    if channels < NUM_GROUPS:
        raise ValueError(f"the exchange needs {NUM_GROUPS} channels or more, not {channels}")
    return channels // NUM_GROUPS * (NUM_GROUPS - 1)


def channel_shuffle(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Swap the last fifth or so of the channels of two `(B, C, ...)` maps (channel shuffle).

        a' = [a[:k], b[k:]],  b' = [b[:k], a[k:]],  k = 4 (C // 5); doing it twice undoes it.

    Raises:
        ValueError: unequal shapes, or fewer than 5 channels.
    """
    if a.shape != b.shape:
        raise ValueError(f"the maps must have one shape, not {tuple(a.shape)} and {tuple(b.shape)}")
    kept = _num_kept(a.shape[1])
    return torch.cat([a[:, :kept], b[:, kept:]], dim=1), torch.cat([b[:, :kept], a[:, kept:]], dim=1)


def pixel_shift(x: Tensor) -> Tensor:
    """Move four groups of C // 5 channels of `(B, C, H, W)` by one pixel, down, right, left and up (pixel shift).

    What moves in from outside is zero, and so are the channels after the four groups.

    Raises:
        ValueError: not a 4-d map, or fewer than 5 channels.
    """
    if x.ndim != 4:
        raise ValueError(f"pixels are shifted in (B, C, H, W), not in {tuple(x.shape)}")
    kept = _num_kept(x.shape[1])
    down, right, left, up = x[:, :kept].chunk(NUM_GROUPS - 1, dim=1)
    shifted = [
        F.pad(down[:, :, :-1], (0, 0, 1, 0)),
        F.pad(right[..., :-1], (1, 0)),
        F.pad(left[..., 1:], (0, 1)),
        F.pad(up[:, :, 1:], (0, 0, 0, 1)),
        torch.zeros_like(x[:, kept:]),
    ]
    return torch.cat(shifted, dim=1)


class PrivateBatchNorm(nn.ModuleList):
    """Normalise each modality by its own BatchNorm2d, beside shared convolutions."""

    def __init__(self, channels: int, num_modalities: int = 2) -> None:
        super().__init__(nn.BatchNorm2d(channels) for _ in range(num_modalities))

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Normalise each `(B, C, H, W)` map by its own norm; ValueError for another number of maps than built for."""
        if len(features) != len(self):
            raise ValueError(f"built for {len(self)} modalities, called with {len(features)}")
        return tuple(norm(x) for norm, x in zip(self, features, strict=True))


class PrivateShortcut(nn.Module):
    """Apply the shortcut of a block: a shared 1x1 convolution and private norms if shapes change, else nothing."""

    def __init__(self, in_channels: int, channels: int, stride: int, num_modalities: int) -> None:
        super().__init__()
        self.conv = self.norm = None
        if stride != 1 or in_channels != channels:
            self.conv = nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False)
            self.norm = PrivateBatchNorm(channels, num_modalities)

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Return one map per modality, of the shape of the block's output."""
        if self.conv is None or self.norm is None:
            return features
        projected: tuple[Tensor, ...] = self.norm(*map(self.conv, features))
        return projected


class AsymFusionBlock(nn.Module):
    """Apply the residual bottleneck of AsymFusion to maps of equal shape.

        h_m = ReLU(BN_m(conv1 x_m));  s_m = shift(h_m);  h = shuffle(h)
        h_m = ReLU(BN_m(conv2 h_m));  h_0 += s_1, h_1 += s_0;  h = shuffle(h)
        y_m = ReLU(BN_m(conv3 h_m) + x_m)

    Without exchange there is neither shuffle nor shift: the modalities share the convolutions, and no more. Where the
    output has another shape than x_m, the way around is BN_m(a 1x1 convolution of x_m). The stride is conv2's.

    Args:
        channels: channels of the output, 5 or more.
        width: channels inside the bottleneck, 5 or more; by default a quarter, as in ResNet, but never below 5.
        in_channels: channels of the input; by default those of the output.
        stride: 1, or more for an output of fewer pixels; a strided block cannot exchange, because its shifted maps are
            larger than those they are to be added to (the released code exchanges in no strided block either).
        exchange: whether the two modalities exchange.
        num_modalities: how many modalities there are; only two can exchange.

    Raises:
        ValueError: fewer than 5 channels outside or inside, or an exchange in a strided block or between other than
            two modalities.
    """

    def __init__(
        self,
        channels: int,
        width: int | None = None,
        *,
        in_channels: int | None = None,
        stride: int = 1,
        exchange: bool = True,
        num_modalities: int = 2,
    ) -> None:
        super().__init__()
        width = max(channels // 4, NUM_GROUPS) if width is None else width
        in_channels = channels if in_channels is None else in_channels
        check_exchange(exchange, min(channels, width), stride, num_modalities)
        self.exchange = exchange
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.norm1 = PrivateBatchNorm(width, num_modalities)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm2 = PrivateBatchNorm(width, num_modalities)
        self.conv3 = nn.Conv2d(width, channels, kernel_size=1, bias=False)
        self.norm3 = PrivateBatchNorm(channels, num_modalities)
        self.shortcut = PrivateShortcut(in_channels, channels, stride, num_modalities)

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Return one map per `(B, C, H, W)` map that comes in, of their shape but for `in_channels` and the stride.

        Raises:
            ValueError: another number of maps than modalities, or unequal shapes.
        """
        check_maps(features, len(self.norm1))
        inner, shifted = begin_exchange([torch.relu(h) for h in self.norm1(*map(self.conv1, features))], self.exchange)
        inner = end_exchange([torch.relu(h) for h in self.norm2(*map(self.conv2, inner))], shifted)
        outer = self.norm3(*map(self.conv3, inner))
        return tuple(torch.relu(y + x) for y, x in zip(outer, self.shortcut(*features), strict=True))


def begin_exchange(maps: list[Tensor], exchange: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Return two maps (B, C, H, W) shuffled, and shifted for the end of the block; or as they are, and none."""
    return (list(channel_shuffle(*maps)), [pixel_shift(h) for h in maps]) if exchange else (maps, [])


def end_exchange(maps: list[Tensor], shifted: list[Tensor]) -> list[Tensor]:
    """Return two maps (B, C, H, W), each with the other's shifted one, shuffled; as they are where none is shifted."""
    return list(channel_shuffle(maps[0] + shifted[1], maps[1] + shifted[0])) if shifted else maps


def check_exchange(exchange: bool, channels: int, stride: int, num_modalities: int) -> None:
    """Raise ValueError for a block that cannot exchange and is to."""
    if not exchange:
        return
    _num_kept(channels)
    if stride != 1 or num_modalities != 2:
        raise ValueError(f"two modalities exchange at stride 1, not {num_modalities} at stride {stride}")


def check_maps(features: Sequence[Tensor], num_modalities: int) -> None:
    """Raise ValueError unless there are as many maps as modalities, of one shape."""
    if len(features) != num_modalities or any(x.shape != features[0].shape for x in features):
        shapes = [tuple(x.shape) for x in features]
        count = "two" if num_modalities == 2 else num_modalities
        raise ValueError(f"joins {count} maps of one shape, not {shapes}")


class AsymSpeechFusion(nn.Module):
    """Apply AsymFusion to audio and lips, which the paper does not: lips become a map like the audio's (ours).

    The video, averaged over its pixels, is projected to the audio's channels, brought to the audio's frames and spread
    over frequency by a learned profile per channel (a few knots, interpolated to any number of bins). The block joins
    both maps; what comes of the lips' map is averaged over frequency, brought back to the video's frames, projected to
    the video's channels and added to the video at every pixel. That projection starts at zero, so that a lip stream
    with its own weights starts unchanged.
    """

    def __init__(self, audio_channels: int, video_channels: int) -> None:
        super().__init__()
        self.project = nn.Conv1d(video_channels, audio_channels, kernel_size=1)
        self.profile = nn.Parameter(torch.ones(1, audio_channels, PROFILE_KNOTS))
        self.block = AsymFusionBlock(audio_channels)
        self.answer = nn.Conv1d(audio_channels, video_channels, kernel_size=1)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return audio `(B, C, F, T)` and video `(B, C', V, H, W)` in their shapes."""
        num_bins, num_frames = audio.shape[-2:]
        lips = _resample(self.project(video.mean((-2, -1))), num_frames)  # (B, C, T)
        profile = _resample(self.profile, num_bins)  # (1, C, F)
        audio, lips_map = self.block(audio, lips.unsqueeze(2) * profile.unsqueeze(3))
        answer = self.answer(_resample(lips_map.mean(2), video.shape[2]))  # (B, C', V)
        return audio, video + answer[..., None, None]


def _resample(x: Tensor, length: int) -> Tensor:
    """Bring `(B, C, L)` to another length by linear interpolation over the same stretch."""
    return F.interpolate(x, size=length, mode="linear", align_corners=False)
