"""The SMIL paper's own experiment: pictures of digits and spoken digits, four in five sounds missing in training.

Pictures are the 8 x 8 digits that scikit-learn carries (or MNIST's, with --mnist); SOUNDS is a folder of spoken digits
named DIGIT_SPEAKER_NUMBER.flac. Imputer, regulariser and meta step are the library's. One thread, some minutes.

    python benchmarks/av_mnist.py SOUNDS --output docs/av-mnist.md
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from digits import Digits, load_pictures, load_sounds, pair
from torch import Tensor, nn
from torch.func import functional_call

from avse.models.imputer import FeatureRegulariser, Imputer
from avse.training.priors import centres
from avse.training.smil import SmilConfig, Weights, meta_losses

FEATURES = 64
SIDE = 8
BATCH_SIZE = 64
NUM_STEPS = 300
LEARNING_RATE = 3e-3
NUM_PRIORS = 20
KL_WEIGHT = 0.0
PAPER = {"image only": (92.0, None), "autoencoder": (89.8, 94.0), "SMIL": (94.9, 96.0)}


class Encoder(nn.Sequential):
    """A picture or spectrogram (B, H, W) as a vector (B, FEATURES)."""

    def __init__(self) -> None:
        super().__init__(
            nn.Unflatten(1, (1, -1)),
            nn.AdaptiveAvgPool2d(SIDE),
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
            nn.Linear(8 * SIDE * SIDE, FEATURES), nn.ReLU(),
        )  # fmt: skip


class Unimodal(nn.Module):
    """One modality alone: (B, H, W) -> logits (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = Encoder(), nn.Linear(FEATURES, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(x))
        return logits


class Bimodal(nn.Module):
    """Pictures and sounds; with SMIL's parts, or with zeros where a sound is missing."""

    def __init__(self, form: str | None) -> None:
        super().__init__()
        self.picture, self.sound = Encoder(), Encoder()
        self.join, self.head = nn.Linear(2 * FEATURES, FEATURES), nn.Linear(FEATURES, 10)
        self.imputer = None if form is None else Imputer(FEATURES, NUM_PRIORS, (FEATURES,), form)  # type: ignore[arg-type]
        self.regulariser = None if form is None else FeatureRegulariser(FEATURES, 2 * FEATURES, "multiply")

    def forward(self, picture: Tensor, sound: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, H, W), spectrograms (B, H, W), heard (B,) 1 or 0 -> logits (B, 10), divergence."""
        seen = self.picture(picture)
        told = self.sound(sound) * heard[:, None] if heard.any() else torch.zeros_like(seen)
        divergence = seen.new_zeros(())
        if self.imputer is not None:
            filled, divergence = self.imputer(seen[..., None], told[..., None], heard[:, None])
            told = filled[..., 0]
        both = torch.cat([seen, told], dim=1)
        hidden = torch.relu(self.join(both))
        if self.regulariser is not None:
            stirred, more = self.regulariser(hidden[..., None], both[..., None])
            hidden, divergence = stirred[..., 0], divergence + more
        return self.head(hidden), divergence


class Autoencoder(nn.Sequential):
    """The spectrogram that goes with a picture, through a bottleneck: (B, H, W) -> (B, 20, 20)."""

    def __init__(self, num_pixels: int) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(num_pixels, 128), nn.ReLU(), nn.Linear(128, 16), nn.ReLU(),
            nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 400), nn.Unflatten(1, (20, 20)),
        )  # fmt: skip


@dataclass(frozen=True)
class Task:
    """Training digits, which of their sounds are there (N,), and test digits."""

    training: Digits
    heard: Tensor
    test: Digits


def batches(count: int, generator: torch.Generator, num_steps: int = NUM_STEPS) -> Iterator[Tensor]:
    """Numbers of examples, one batch for each step."""
    for _ in range(num_steps):
        yield torch.randint(count, (min(BATCH_SIZE, count),), generator=generator)


def fit(net: nn.Module, loss: Callable[[Tensor], Tensor], count: int, seed: int) -> None:
    """Train by a loss on a batch of example numbers."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    net.train()
    for chosen in batches(count, generator):
        optimiser.zero_grad()
        loss(chosen).backward()
        optimiser.step()
    net.eval()


def accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(1) == labels).float().mean()) * 100


def image_only(task: Task, seed: int) -> dict[str, float]:
    """The picture alone, of every training example."""
    net = Unimodal()
    own = task.training
    fit(net, lambda chosen: F.cross_entropy(net(own.pictures[chosen]), own.labels[chosen]), len(own.labels), seed)
    return {"image only": accuracy(net(task.test.pictures), task.test.labels)}


def zeros(task: Task, seed: int) -> dict[str, float]:
    """Zeros for the features of a missing sound; half of the sounds that are there are hidden now and then."""
    net = Bimodal(None)
    own = task.training

    def loss(chosen: Tensor) -> Tensor:
        kept = task.heard[chosen] * (torch.rand(len(chosen)) < 0.5)
        return F.cross_entropy(net(own.pictures[chosen], own.sounds[chosen], kept)[0], own.labels[chosen])

    fit(net, loss, len(own.labels), seed)
    return tested(net, task, task.test.sounds, 0.0)


def autoencoder(task: Task, seed: int) -> dict[str, float]:
    """An autoencoder, taught on the complete examples, makes up the missing spectrograms; then all are used."""
    own, complete = task.training, task.heard.nonzero()[:, 0]
    guess = Autoencoder(own.pictures[0].numel())
    fit(
        guess,
        lambda chosen: F.mse_loss(guess(own.pictures[complete[chosen]]), own.sounds[complete[chosen]]),
        len(complete),
        seed,
    )
    with torch.no_grad():
        sounds = torch.where(task.heard[:, None, None] > 0, own.sounds, guess(own.pictures))
        made_up = guess(task.test.pictures)
    net = Bimodal(None)
    every = torch.ones(BATCH_SIZE)

    def loss(chosen: Tensor) -> Tensor:
        return F.cross_entropy(net(own.pictures[chosen], sounds[chosen], every)[0], own.labels[chosen])

    fit(net, loss, len(own.labels), seed)
    return tested(net, task, made_up, 1.0)


def smil(task: Task, seed: int, form: str, config: SmilConfig) -> dict[str, float]:
    """Priors from the sounds that are there, then meta steps: inner on pictures alone, outer on complete examples."""
    own, complete = task.training, task.heard.nonzero()[:, 0]
    sounds = Unimodal()
    fit(
        sounds,
        lambda chosen: F.cross_entropy(sounds(own.sounds[complete[chosen]]), own.labels[complete[chosen]]),
        len(complete),
        seed,
    )
    net = Bimodal(form)
    net.sound.load_state_dict(sounds.encoder.state_dict())
    assert net.imputer is not None
    with torch.no_grad():
        net.imputer.priors.copy_(centres(sounds.encoder(own.sounds[complete]), NUM_PRIORS, seed))
    generator = torch.Generator().manual_seed(seed)

    def loss_on(examples: Tensor, heard: float) -> Callable[[Weights], Tensor]:
        batch = (own.pictures[examples], own.sounds[examples], torch.full((len(examples),), heard))

        def loss(weights: Weights) -> Tensor:
            logits, divergence = functional_call(net, dict(weights), batch)
            return F.cross_entropy(logits, own.labels[examples]) + KL_WEIGHT * divergence

        return loss

    def step(chosen: Tensor) -> Tensor:
        lacking = torch.randint(len(own.labels), (BATCH_SIZE,), generator=generator)
        weights: Mapping[str, Tensor] = dict(net.named_parameters())
        return meta_losses(weights, loss_on(lacking, 0.0), loss_on(complete[chosen], 1.0), config).objective

    fit(net, step, len(complete), seed)
    return tested(net, task, task.test.sounds, 0.0)


@torch.no_grad()
def tested(net: Bimodal, task: Task, stand_in: Tensor, heard: float) -> dict[str, float]:
    """Accuracy in % with the picture only (sounds then are ``stand_in``, heard or not) and with both."""
    own = task.test
    alone, every = torch.full((len(own.labels),), heard), torch.ones(len(own.labels))
    return {
        "image only": accuracy(net(own.pictures, stand_in, alone)[0], own.labels),
        "both": accuracy(net(own.pictures, own.sounds, every)[0], own.labels),
    }


METHODS: dict[str, Callable[[Task, int], dict[str, float]]] = {
    "image only": image_only,
    "zeros": zeros,
    "autoencoder": autoencoder,
    "SMIL": lambda task, seed: smil(task, seed, "reference", SmilConfig(0.01, True, 1.0)),
    "SMIL, the paper's form": lambda task, seed: smil(task, seed, "paper", SmilConfig(0.01, True, 1.0)),
}


def experiment(options: argparse.Namespace) -> tuple[dict[str, list[dict[str, float]]], dict[str, float]]:
    """Every method on every seed; each seed splits, pairs and hides anew."""
    clear, labels = load_pictures(options.mnist)
    pictures = clear + options.noise * np.random.default_rng(0).standard_normal(clear.shape)
    sounds = load_sounds(options.sounds)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    sizes = {}
    for seed in range(options.seeds):
        training, test = pair(pictures, labels, sounds, options.training, options.test, seed)
        torch.manual_seed(seed)
        heard = torch.zeros(len(training.labels))
        heard[torch.randperm(len(heard))[: round(0.2 * len(heard))]] = 1.0
        sizes = {"noise": options.noise, "training": len(heard), "heard": int(heard.sum()), "test": len(test.labels)}
        for name, method in METHODS.items():
            torch.manual_seed(seed)
            found[name].append(method(Task(training, heard, test), seed))
            print(seed, name, found[name][-1], file=sys.stderr)
    return found, sizes


def row(name: str, results: list[dict[str, float]]) -> str:
    """One line of the table: mean and standard deviation over the seeds, and the paper's figures."""
    cells = []
    for index, test in enumerate(("image only", "both")):
        values = [result[test] for result in results if test in result]
        cells.append(f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if values else "-")
        published = PAPER.get(name, (None, None))[index]
        cells.append("-" if published is None else f"{published:.1f}")
    return f"| {name} | {' | '.join(cells)} |"


def page(found: dict[str, list[dict[str, float]]], sizes: dict[str, float], options: argparse.Namespace) -> str:
    """The whole page, with what was done and where the data differ from the paper's."""
    source = "MNIST" if options.mnist else "the 8 x 8 digits of scikit-learn"
    command = shlex.join(["python", "benchmarks/av_mnist.py", "SOUNDS", *sys.argv[2:]])
    return "\n".join(
        [
            "# Pictures of digits and spoken digits",
            "",
            f"Made by `{command}` on {date.today()}, torch {torch.__version__}, {platform.machine()}, one thread.",
            "",
            "Accuracy in %, mean and standard deviation over "
            f"{options.seeds} seeds. Every training example has its picture, one in five its sound.",
            "",
            "| method | tested with image only | in the paper | tested with both | in the paper |",
            "|---|---|---|---|---|",
            *(row(name, results) for name, results in found.items()),
            "",
            Path(__file__).with_name("av_mnist.txt").read_text().format(source=source, **sizes, steps=NUM_STEPS),
        ]
    )


def main() -> None:
    """Read the command line, run, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", type=Path, help="folder of spoken digits, DIGIT_SPEAKER_NUMBER.flac")
    parser.add_argument("--mnist", type=Path, help="folder with MNIST's train-images and train-labels (idx, also .gz)")
    parser.add_argument("--noise", type=float, default=0.2, help="deviation of the noise on pictures (0 to 1)")
    parser.add_argument("--training", type=int, default=1000, help="training examples")
    parser.add_argument("--test", type=int, default=450, help="test examples")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, required=True, help="Markdown page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    found, sizes = experiment(options)
    text = page(found, sizes, options)
    options.output.write_text(text)
    print(text)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
