"""Image augmentation of mouth crops, for whole batches: affine, flip, gamma, blur, occlusion, resolution, AV jitter.

Legend: `B` batch, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from avse.errors import UsageError


@dataclass(frozen=True)
class LipAugment:
    """Hold limits of the augmentation of mouth crops and lip features; each clip draws values for all its frames."""

    shift: float = 0.08
    """Largest shift, as a share of the crop's side."""
    scale: float = 0.12
    """Largest change of size, as a natural logarithm."""
    tilt_radians: float = 0.12
    """Largest in-plane rotation."""
    yaw_radians: float = 0.0
    """Largest yaw of the head: narrows the mouth by its cosine."""
    mirror_probability: float = 0.5
    """Probability of a horizontal flip."""
    gamma: float = 0.35
    """Largest gamma correction, as the logarithm of the exponent."""
    occlusion_probability: float = 0.25
    """Probability that a grey rectangle covers a part of the crop."""
    blur_probability: float = 0.2
    """Probability of blur (5 x 5 box)."""
    low_resolution_probability: float = 0.0
    """Probability of a low resolution, as of a face far from the camera."""
    low_resolution_pixels: tuple[int, int] = (10, 40)
    """Range of the side in pixels to which the crop is then reduced."""
    appearance_mix_probability: float = 0.0
    """Probability that the mean image of a clip is mixed with that of another: the motion stays, and the person
    changes."""
    appearance_mix: float = 0.6
    """Largest share of the other clip's mean image."""
    av_jitter_frames: int = 0
    """Largest AV offset, early or late, in video frames."""
    feature_noise: float = 0.0
    """Strength of the random gains and offsets of the lip stream's channels (`avse.models.feature_noise`)."""
    feature_noise_probability: float = 0.8
    """Probability of these in an example."""

    def __post_init__(self) -> None:
        fewest, most = self.low_resolution_pixels
        if not 1 <= fewest <= most:
            raise UsageError(
                f"low_resolution_pixels ranges from {fewest} to {most}.",
                "Use values of 1 or more, the lower end first.",
            )


def augment(crops: Tensor, settings: LipAugment, generator: torch.Generator) -> Tensor:
    """Augment crops (B, V, H, W) with values 0..255; return floats of the same shape."""
    num_clips = crops.shape[0]

    def draw(limit: float) -> Tensor:
        return (torch.rand(num_clips, generator=generator) * 2 - 1) * limit

    def chosen(probability: float) -> Tensor:
        return torch.nonzero(torch.rand(num_clips, generator=generator) < probability)[:, 0]

    moved = _move(crops.float(), draw, settings)
    if settings.appearance_mix_probability:
        moved = _mix_appearance(moved, chosen(settings.appearance_mix_probability), settings.appearance_mix, generator)
    gamma = torch.exp(draw(settings.gamma))[:, None, None, None]
    bright = 255 * (moved / 255).clamp(0, 1) ** gamma
    blurred = chosen(settings.blur_probability)
    if len(blurred):
        bright[blurred] = F.avg_pool2d(bright[blurred], 5, stride=1, padding=2, count_include_pad=False)
    for clip in chosen(settings.occlusion_probability):
        _occlude(bright[clip], generator)
    for clip in chosen(settings.low_resolution_probability):
        bright[clip] = _lower_resolution(bright[clip], settings.low_resolution_pixels, generator)
    return bright


def _mix_appearance(crops: Tensor, clips: Tensor, limit: float, generator: torch.Generator) -> Tensor:
    """Mix the mean image over time of the chosen clips with that of other clips of the batch (B, V, H, W)."""
    means = crops.mean(1, keepdim=True)
    others = means[torch.randperm(len(crops), generator=generator)]
    share = torch.zeros(len(crops), 1, 1, 1)
    share[clips] = torch.rand(len(clips), 1, 1, 1, generator=generator) * limit
    return crops + share * (others - means)


def jitter_av_offset(crops: Tensor, seen: Tensor, limit: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Shift each clip's video by up to ``limit`` frames against its audio, repeating the first or last frame.

    ``crops`` (B, V, H, W) and ``seen`` (B, V) move together. With a limit of 0 nothing is drawn.
    """
    if limit == 0:
        return crops, seen
    lags = torch.randint(-limit, limit + 1, (len(crops), 1), generator=generator)
    clips, frames = torch.arange(len(crops))[:, None], torch.arange(crops.shape[1])
    moved = (frames - lags).clamp(0, crops.shape[1] - 1)
    return crops[clips, moved], seen[clips, moved]


def _move(crops: Tensor, draw: Callable[[float], Tensor], settings: LipAugment) -> Tensor:
    """Apply shift, scale, rotation, yaw and flip as one affine map; pixels from outside repeat the border."""
    tilt, scale = draw(settings.tilt_radians), torch.exp(draw(settings.scale))
    mirror = torch.where(draw(1.0) > 2 * settings.mirror_probability - 1, 1.0, -1.0)
    width = mirror / torch.cos(draw(settings.yaw_radians)) if settings.yaw_radians else mirror
    cosine, sine = torch.cos(tilt) * scale, torch.sin(tilt) * scale
    rows = [
        torch.stack([cosine * width, -sine, draw(2 * settings.shift)], 1),
        torch.stack([sine * width, cosine, draw(2 * settings.shift)], 1),
    ]
    return warp(crops, torch.stack(rows, 1))


def warp(crops: Tensor, maps: Tensor) -> Tensor:
    """Warp crops (B, V, H, W) by one affine map each (B, 2, 3), which maps output to input coordinates."""
    grid = F.affine_grid(maps, [len(crops), 1, *crops.shape[-2:]], align_corners=False)
    return F.grid_sample(crops, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _occlude(clip: Tensor, generator: torch.Generator) -> None:
    """Cover up to a sixth of one clip (V, H, W) with a grey rectangle, in place."""
    side = clip.shape[-1]
    width, height = (int(side * math.sqrt(float(share))) for share in torch.rand(2, generator=generator) / 6 + 0.01)
    left, top = (int(float(place) * side) for place in torch.rand(2, generator=generator) * 0.9)
    clip[:, top : top + height, left : left + width] = 255 * float(torch.rand(1, generator=generator))


def _lower_resolution(clip: Tensor, pixels: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Reduce one clip (V, H, W) to few pixels and enlarge it again."""
    side = int(torch.randint(pixels[0], pixels[1] + 1, (), generator=generator))
    few = F.interpolate(clip[:, None], (side, side), mode="area")
    return F.interpolate(few, clip.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
