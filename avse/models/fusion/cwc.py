"""The baselines that the MMTM paper compares with: no fusion (audio only), and channel-wise concatenation.

Legend: `B` batch, `C` channels, `F` frequency bins, `T` STFT frames, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class NoFusion(nn.Module):
    """Pass both streams unchanged (the paper's "AO baseline", audio only)."""

    def forward(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return audio and video as they are."""
        return audio, video


class CWC(nn.Module):
    """Concatenate channels, the paper's "AV baseline" (the paper gives only the name; the rest is ours).

    The video, averaged over its pixels and brought to the audio's frames by linear interpolation, is joined to the
    audio's channels at every frequency, and a 1x1 convolution (`mix`) brings both back to the audio's channels.
    """

    def __init__(self, audio_channels: int, video_channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(audio_channels + video_channels, audio_channels, kernel_size=1)

    def forward(self, audio: Tensor, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return audio `(B, C, F, T)` mixed with video `(B, C', V, H, W)`, and the video as it is."""
        num_bins, num_frames = audio.shape[-2:]
        seen = F.interpolate(video.mean((-2, -1)), size=num_frames, mode="linear", align_corners=False)  # (B, C', T)
        seen = seen.unsqueeze(2).expand(-1, -1, num_bins, -1)
        return self.mix(torch.cat([audio, seen], dim=1)), video
