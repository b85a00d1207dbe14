"""The lip encoder: ResNet-18 (He et al., CVPR 2016) on mouth crops.

Parameters carry torchvision's names, so that its weights load at full width. A few video frames are stacked into the
first convolution, which stands in for a 3-D stem at a fraction of its cost (ours).

Legend: `B` batch, `V` video frames, `C` channels, `H W` pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Apply two 3x3 convolutions with a residual connection: (B, C, H, W) -> (B, C', H / stride, W / stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            projection = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        carried = x if self.downsample is None else self.downsample(x)
        return torch.relu_(self.bn2(self.conv2(torch.relu_(self.bn1(self.conv1(x))))) + carried)


class LipResNet(nn.Module):
    """Run ResNet-18 without its classifier on V frames at once, stage by stage."""

    def __init__(self, width: int = 64, stem_frames: int = 5) -> None:
        super().__init__()
        self.channels = [width, 2 * width, 4 * width, 8 * width]
        self.stem_frames = stem_frames
        self.conv1 = nn.Conv2d(stem_frames, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = [width, *self.channels]
        for index, channels in enumerate(self.channels):
            first = BasicBlock(inputs[index], channels, stride=1 if index == 0 else 2)
            setattr(self, f"layer{index + 1}", nn.Sequential(first, BasicBlock(channels, channels, 1)))

    def stem(self, lips: Tensor) -> Tensor:
        """Apply the stem: (B, V, H, W) -> (B, C, V, H / 4, W / 4); the first and last frame pad the clip in time."""
        clips, num_frames = lips.shape[:2]
        reach = self.stem_frames // 2
        padded = torch.cat([lips[:, :1].expand(-1, reach, -1, -1), lips, lips[:, -1:].expand(-1, reach, -1, -1)], dim=1)
        stacks = padded.unfold(1, self.stem_frames, 1).movedim(-1, 2).flatten(0, 1)  # (B * V, stem_frames, H, W)
        stacks = stacks.contiguous(memory_format=torch.channels_last)
        x = F.max_pool2d(torch.relu_(self.bn1(self.conv1(stacks))), 3, stride=2, padding=1)
        return _unstack(x, clips, num_frames)

    def stage(self, index: int, x: Tensor) -> Tensor:
        """Apply stage ``index`` (0 to 3): (B, C, V, H, W) -> (B, C', V, H', W')."""
        clips, num_frames = x.shape[0], x.shape[2]
        frames = x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return _unstack(getattr(self, f"layer{index + 1}")(frames), clips, num_frames)

    def load_torchvision(self, state: dict[str, Tensor]) -> None:
        """Load torchvision's resnet18 (width 64); a constant grey video then gives the same features.

        The colours of the stem are averaged, times three as grey is all of them, and shared out among the frames.
        """
        own = {name: value for name, value in state.items() if not name.startswith("fc.")}
        stem = own["conv1.weight"].mean(1, keepdim=True) * 3
        own["conv1.weight"] = stem.expand(-1, self.stem_frames, -1, -1) / self.stem_frames
        self.load_state_dict(own)


def _unstack(frames: Tensor, clips: int, num_frames: int) -> Tensor:
    """Unstack frames: (B * V, C, H, W) -> (B, C, V, H, W)."""
    return frames.unflatten(0, (clips, num_frames)).transpose(1, 2)
