"""Compare checkpoints to choose one: gains on mixtures of unseen speakers, under conditions that differ between them.

    python benchmarks/choose.py cache/faces --speakers id1,id2 --voices cache/voices --noises cache/noises \
        plain=runs/plain/best.safetensors mean=mean.safetensors [--items 64] [--jobs 2]

The mixtures have 3 s and video, and are the same for all checkpoints. The gains are in wide-band PESQ, STOI x 100, and
SI-SDR in dB. One tenth of the voices is used: those that `avse train` keeps for validation. Mismatched lips are those
of another speaker. Under "turns", the last figure is the attenuation of the other talker in dB.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from avse.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from avse.data.dataset import Batch, Batches
from avse.data.mix_config import MixConfig
from avse.dsp.stft import istft
from avse.evaluation.metrics import score
from avse.features import LEVEL, WINDOW
from avse.models.net import SpeechNet
from avse.training.config import TrainConfig
from avse.training.data import TrainingData
from avse.training.steps import prepare_batch, rms
from avse.weights.pretrained import load_model

BATCH_SIZE = 16
SCALES = {"pesq": 1, "stoi": 100, "si_sdr": 1}
one, two = (0.0, 1.0), (0.0, 0.0, 1.0)
same_corpus, audio_only = ({"audio_only_interferer_probability": value} for value in (0.0, 1.0))
mismatched = {"mismatched_video_probability": 1.0}
quiet = {"quiet_interferers_probability": 1.0, "quiet_interferers_db": (-17.0, -17.0)}
rooms, some_rooms = ({"reverb_probability": value} for value in (1.0, 0.5))
CONDITIONS: dict[str, dict[str, object]] = {
    "same": {"num_talkers": one, "talker_db": (0.0, 0.0)} | same_corpus,
    "audio-only interferer": {"num_talkers": one, "talker_db": (0.0, 0.0)} | audio_only,
    "two, -6 dB": {"num_talkers": two, "talker_db": (-6.0, -6.0)},
    "two, -17 dB": {"num_talkers": two, "talker_db": (-17.0, -17.0)},
    "noise, -5 dB": {"num_talkers": (1.0,), "noise_db": (-5.0, -5.0)},
    "two, -17 dB, mismatched lips": {"num_talkers": two} | quiet | mismatched,
    "noise, -5 dB, mismatched lips": {"num_talkers": (1.0,), "noise_db": (-5.0, -5.0)} | mismatched,
    "babble, 0 dB": {"num_talkers": (1.0,), "noise_db": (0.0, 0.0), "babble_probability": 1.0} | rooms,
    "turns": {"num_talkers": one, "talker_db": (-2.0, 2.0), "turn_taking_probability": 1.0} | some_rooms | same_corpus,
}


def examples(batch: Batch, estimate: torch.Tensor) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield target, mixture and estimate (N,) of each example."""
    return zip(batch.target.numpy(), batch.mixture.numpy(), estimate.numpy(), strict=True)


@torch.inference_mode()
def enhanced(net: SpeechNet, batch: Batch) -> torch.Tensor:
    """Return the network's output (B, N), at the level of the mixture."""
    estimate = istft(net(prepare_batch(net, batch)).spectrum, WINDOW, net.config.hop)
    return estimate * (rms(batch.mixture) / LEVEL)[:, None]


def gains(target: np.ndarray, mixture: np.ndarray, estimate: np.ndarray) -> list[float]:
    """Compute the gain of each metric."""
    before, after = (score(target, audio, SAMPLE_RATE, SCALES).values for audio in (mixture, estimate))
    return [(after[name] - before[name]) * unit for name, unit in SCALES.items()]


def attenuation_db(target: np.ndarray, mixture: np.ndarray, estimate: np.ndarray) -> float:
    """Compute the attenuation in dB where only another talker speaks."""
    own, others, before, after = (
        np.square(audio.reshape(-1, SAMPLES_PER_FRAME)).mean(1)
        for audio in (target, mixture - target, mixture, estimate)
    )
    alone = (own < 1e-9) & (others > 1e-6)
    return float(10 * np.log10((before[alone].sum() + 1e-9) / (after[alone].sum() + 1e-9)))


def score_model(model: str, options: argparse.Namespace) -> list[str]:
    """Compute the mean gains of one model under each condition, as cells of a table."""
    torch.set_num_threads(1)
    net = load_model(model, "cpu").net
    folders = TrainingData(options.cache, options.voices, options.noises, tuple(options.speakers.split(",")))
    cells = []
    for condition, settings in CONDITIONS.items():
        values = {"num_frames": 75, "missing_video_probability": 0.0, "noise_probability": 0.0} | settings
        config = TrainConfig(mix=MixConfig(**values))  # type: ignore[arg-type]
        batches = Batches(folders.mixer(config, validation=True), 7, BATCH_SIZE, 0, options.items // BATCH_SIZE)
        items = [item for batch in batches for item in examples(batch, enhanced(net, batch))]
        pesq, stoi, si_sdr = np.mean([gains(*item) for item in items], 0)
        cells.append(f"{pesq:.2f} / {stoi:.1f} / {si_sdr:.2f}")
        if condition == "turns":
            cells[-1] += f" / {np.mean([attenuation_db(*item) for item in items]):.0f}"
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", type=Path, help="folder of prepared clips")
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL", help="models with their names")
    for name in ("--voices", "--noises"):
        parser.add_argument(name, type=Path, required=True, help=f"folder of {name[2:]}, as for avse train")
    parser.add_argument("--speakers", required=True, help="validation speakers, separated by commas")
    parser.add_argument("--items", type=int, default=64, help="number of mixtures of each condition")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    options = parser.parse_args()
    models = dict(model.split("=", 1) for model in options.models)
    print(f"| weights | {' | '.join(CONDITIONS)} |\n|---|{'---|' * len(CONDITIONS)}")
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        for name, cells in zip(models, pool.map(partial(score_model, options=options), models.values()), strict=True):
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    print(f"\nGains in PESQ-wb / STOI x 100 / SI-SDR in dB: means over {options.items} mixtures of 3 s each.")


if __name__ == "__main__":
    main()
