"""Measure the effect of the video: SI-SDR gain in dB with correct, shifted, turned, mismatched, frozen and no lips.

    python benchmarks/lips.py cache/faces --speakers id1,id2 [--model avse] [--items 192]

The mixtures are made of prepared clips of the given speakers: two talkers at equal level. The speakers should not have
been trained on.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from avse.data.augmentation.mouth import warp
from avse.data.dataset import Batch, Batches
from avse.data.mix_config import MixConfig
from avse.data.online_mixing import Mixer
from avse.dsp.stft import istft
from avse.features import WINDOW
from avse.models.net import SpeechNet
from avse.training.data import TrainingData
from avse.training.losses.spectral import si_sdr
from avse.training.steps import prepare_batch
from avse.weights.pretrained import load_model

BATCH_SIZE = 32
NUM_FRAMES = 50

Change = Callable[[Batch], Batch]


def shifted(num_frames: int) -> Change:
    """Delay the lips by ``num_frames``; the last frames become the first."""
    return lambda batch: batch_with(batch, batch.crops.roll(num_frames, 1), batch.seen.roll(num_frames, 1))


def turned(degrees: float) -> Change:
    """Turn the head sideways by narrowing the mouth crop; the border is repeated outwards."""
    stretch = torch.tensor([[1 / math.cos(math.radians(degrees)), 0.0, 0.0], [0.0, 1.0, 0.0]])
    return lambda batch: batch_with(
        batch, warp(batch.crops.float(), stretch.expand(len(batch.crops), 2, 3)), batch.seen
    )


def batch_with(batch: Batch, crops: Tensor, seen: Tensor) -> Batch:
    return Batch(batch.mixture, batch.target, crops, seen)


CHANGES: dict[str, Change] = {
    "correct lips": lambda batch: batch,
    "1 frame late": shifted(1),
    "2 frames late": shifted(2),
    "5 frames late": shifted(5),
    "5 frames early": shifted(-5),
    "correct, head turned by 40 degrees": turned(40),
    "correct, head turned by 50 degrees": turned(50),
    "another person's": lambda batch: batch_with(batch, batch.crops.roll(1, 0), batch.seen.roll(1, 0)),
    "one frame throughout": lambda batch: batch_with(batch, batch.crops[:, :1].expand_as(batch.crops), batch.seen),
    "none": lambda batch: batch_with(batch, torch.zeros_like(batch.crops), torch.zeros_like(batch.seen)),
}


@torch.inference_mode()
def gain(net: SpeechNet, batch: Batch) -> Tensor:
    """Compute the SI-SDR gain in dB (B,) of each item."""
    estimate = istft(net(prepare_batch(net, batch)).spectrum, WINDOW, net.config.hop)
    return si_sdr(estimate, batch.target) - si_sdr(batch.mixture, batch.target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder of prepared clips")
    parser.add_argument("--speakers", required=True, help="at least two, separated by commas")
    parser.add_argument("--model", action="append", help="name or checkpoint; can be repeated (default: avse)")
    parser.add_argument("--items", type=int, default=192, help="number of mixtures")
    options = parser.parse_args()
    talkers = TrainingData(options.cache, validation_speakers=tuple(options.speakers.split(","))).talkers(True)
    one_more = MixConfig(
        num_frames=NUM_FRAMES,
        num_talkers=(0.0, 1.0),
        talker_db=(0.0, 0.0),
        noise_probability=0.0,
        missing_video_probability=0.0,
    )
    batches = list(Batches(Mixer(talkers, {}, {}, one_more), 0, BATCH_SIZE, 0, options.items // BATCH_SIZE))
    models = options.model or ["avse"]
    nets = [load_model(model, "cpu").net for model in models]
    print(f"| lips | {' | '.join(models)} |\n|---|{'---|' * len(models)}")
    for name, change in CHANGES.items():
        gains = [torch.cat([gain(net, change(batch)) for batch in batches]) for net in nets]
        print(f"| {name} |" + "".join(f" {values.mean():.2f} |" for values in gains), flush=True)
    print(f"\nMeans over {len(batches) * BATCH_SIZE} mixtures of {NUM_FRAMES / 25:g} s.")


if __name__ == "__main__":
    main()
