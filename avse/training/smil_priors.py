"""The imputer's priors: centres of K-means over the lip stem's features of visible mouths.

Legend: `C` channels, `H W` pixels of the stem's map, `K` priors.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avse.data.prepared_clips import load_clip
from avse.features import prepare
from avse.models.net import SpeechNet
from avse.training.smil import centres

MAX_CLIPS = 2000
MAX_FRAMES = 8000


def set_priors(net: SpeechNet, speakers: Collection[Sequence[Path]], seed: int) -> None:
    """Give the net's imputer its priors, from each speaker's prepared clips; a net without imputer is left alone."""
    if net.imputer is None:
        return
    rng = np.random.default_rng(seed)
    was_training = net.training
    net.eval()
    clips = choose_clips(speakers, rng)
    found = [stem_features(net, path, -(-MAX_FRAMES // len(clips)), rng) for path in clips]
    net.train(was_training)
    priors = net.imputer.priors
    priors.copy_(centres(torch.cat([*found, priors.new_zeros(0, *priors.shape[1:])]), len(priors), seed))


def choose_clips(speakers: Collection[Sequence[Path]], rng: np.random.Generator) -> list[Path]:
    """Choose at most `MAX_CLIPS` clips, about as many of each speaker."""
    share = -(-MAX_CLIPS // max(len(speakers), 1))
    chosen = [clips[index] for clips in speakers for index in rng.permutation(len(clips))[:share]]
    return [chosen[index] for index in rng.permutation(len(chosen))[:MAX_CLIPS]]


@torch.no_grad()
def stem_features(net: SpeechNet, path: Path, count: int, rng: np.random.Generator) -> Tensor:
    """Compute the stem's maps (N, C, H, W) of up to ``count`` frames; none if the mouth is not always visible."""
    assert net.lips is not None
    clip = load_clip(path)
    if clip.lips is None or not clip.seen.all():
        return net.imputer.priors[:0].cpu() if net.imputer is not None else torch.zeros(0)
    device = next(net.parameters()).device
    audio, crops, seen = (torch.from_numpy(x)[None].to(device) for x in (clip.audio, clip.lips, clip.seen))
    pixels = prepare(audio, crops, seen, torch.ones(1, device=device), net.config).lips
    frames = rng.permutation(len(clip.seen))[:count]
    return net.lips.resnet.stem(pixels)[0].movedim(1, 0)[torch.from_numpy(frames)].cpu()
