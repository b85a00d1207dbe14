"""Describe a run at its start: network, device, data, steps."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import nn

from avse.config import VIDEO_FPS
from avse.data.online_mixing import Mixer, SpeakerClips
from avse.data.prepared_clips import load_clip
from avse.training.config import TrainConfig

SAMPLED_CLIPS = 50
"""Clips whose length is read to estimate the hours of speech."""


def describe_run(
    fabric: Fabric, net: nn.Module, config: TrainConfig, mixers: Mapping[int, Mixer], step: int, num_workers: int
) -> list[str]:
    """Return the lines with which a log begins."""
    mixer = next(iter(mixers.values()))
    size = sum(weight.numel() for weight in net.parameters()) / 1e6
    return [
        f"stage {config.stage}, fusion {config.model.fusion}, {size:.2f} million parameters",
        f"device {describe_device(fabric.device)}, {config.num_devices} in all, precision {config.precision}",
        f"faces: {describe_clips(mixer.seen)}; voices: {describe_clips(mixer.voices)}; "
        f"noises: {describe_clips(mixer.noises, 'kinds')}",
        f"steps {step} to {config.num_steps}, batch {config.batch_size}, examples of "
        f"{config.mix.num_frames / VIDEO_FPS:g} s, learning rate {config.learning_rate:g}, "
        f"{num_workers} loader processes per device",
    ]


def describe_device(device: torch.device) -> str:
    """Return the name of a device, with the threads of a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} ({torch.get_num_threads()} threads of {os.cpu_count()} cores)"


def describe_clips(speakers: SpeakerClips, kind: str = "speakers") -> str:
    """Return the number of clips and speakers, and about how many hours they last."""
    clips = list(speakers.values())
    ends = np.cumsum([len(own) for own in clips], dtype=int)  # a shard makes the path of a clip only when asked
    if not any(ends):
        return "none"
    count = int(ends[-1])
    sampled = np.unique(np.linspace(0, count - 1, SAMPLED_CLIPS).astype(int))
    owners = np.searchsorted(ends, sampled, side="right")
    chosen = [clips[owner][index - ends[owner]] for owner, index in zip(owners, sampled, strict=True)]
    hours = np.mean([len(load_clip(path).seen) for path in chosen]) / VIDEO_FPS / 3600 * count
    return f"{count:,} clips of {len(speakers):,} {kind}, about {hours:.2g} h"
