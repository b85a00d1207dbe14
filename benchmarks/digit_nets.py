"""Nets that tell digits from pictures and sounds, and ways to train them where sounds are missing; for av_mnist.py.

Legend: `B` batch, `N` examples, `H W` pixels, or mel bands and time of a spectrogram.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from digits import Digits
from torch import Tensor, nn
from torch.func import functional_call

from avse.models.imputer import FeatureRegulariser, Imputer
from avse.training.smil import SmilConfig, Weights, meta_losses
from avse.training.smil_priors import centres

FEATURES = 64
BATCH_SIZE = 64
NUM_STEPS = 200
NUM_PRIORS = 20

Answer = Callable[[Digits, float], "Tensor | None"]
"""Logits (N, 10) of digits, heard (1) or not (0); None where a method cannot hear."""
Method = Callable[["Task", float, int], Answer]
"""A task, a learning rate and a seed to a trained net."""


@dataclass(frozen=True)
class Setup:
    """What a net with pictures and sounds is made of, and how SMIL's meta step is done."""

    form: str | None = "reference"
    """The imputer's; None: zeros where a sound is missing, no imputer and no regulariser."""
    level: bool = True
    """Whether the features of both modalities are brought to deviation 1."""
    regulariser: str | None = "multiply"
    alone_weight: float = 0.0
    """Weight in the outer loss of that of the complete examples' pictures alone: 0 in the paper, 1 in its code."""
    meta: SmilConfig = field(default_factory=lambda: SmilConfig(0.01, False, 1.0))


@dataclass(frozen=True)
class Task:
    """Training digits, which of their sounds are there (N,), digits to choose the learning rate by, test digits."""

    training: Digits
    heard: Tensor
    validation: Digits
    test: Digits
    num_steps: int = NUM_STEPS

    @property
    def complete(self) -> Tensor:
        """Numbers of the training examples that have their sound."""
        return self.heard.nonzero()[:, 0]


def encoder(example: Tensor, level: bool = True) -> nn.Sequential:
    """Pictures or spectrograms (B, H, W), of the size of ``example`` (H, W), as vectors (B, FEATURES)."""
    layers = [nn.Flatten(), nn.Linear(example.numel(), 128), nn.ReLU(), nn.Linear(128, FEATURES), nn.ReLU()]
    return nn.Sequential(*layers, *([nn.LayerNorm(FEATURES, elementwise_affine=False)] if level else []))


def classifier(example: Tensor, level: bool = True) -> nn.Sequential:
    """One modality alone: (B, H, W) -> logits (B, 10)."""
    return nn.Sequential(encoder(example, level), nn.Linear(FEATURES, 10))


class Bimodal(nn.Module):
    """Pictures and sounds; with SMIL's parts, or with zeros where a sound is missing."""

    def __init__(self, digits: Digits, setup: Setup) -> None:
        super().__init__()
        self.picture = encoder(digits.pictures[0], setup.level)
        self.sound = encoder(digits.sounds[0], setup.level)
        self.join, self.head = nn.Linear(2 * FEATURES, FEATURES), nn.Linear(FEATURES, 10)
        self.imputer = self.regulariser = None
        if setup.form is not None:
            self.imputer = Imputer(FEATURES, NUM_PRIORS, (FEATURES,), setup.form)  # type: ignore[arg-type]
            if setup.regulariser is not None:
                self.regulariser = FeatureRegulariser(FEATURES, 2 * FEATURES, setup.regulariser)  # type: ignore[arg-type]

    def forward(self, picture: Tensor, sound: Tensor, heard: Tensor) -> Tensor:
        """Pictures (B, H, W), spectrograms (B, H, W), heard (B,) 1 or 0 -> logits (B, 10)."""
        seen = self.picture(picture)
        told = self.sound(sound) * heard[:, None] if heard.any() else torch.zeros_like(seen)
        if self.imputer is not None and not heard.all():
            told = self.imputer(seen[..., None], told[..., None], heard[:, None])[0][..., 0]
        both = torch.cat([seen, told], dim=1)
        hidden = torch.relu(self.join(both))
        if self.regulariser is not None:
            hidden = self.regulariser(hidden[..., None], both[..., None])[0][..., 0]
        logits: Tensor = self.head(hidden)
        return logits


def fit(net: nn.Module, loss: Callable[[Tensor], Tensor], count: int, steps: int, rate: float, seed: int) -> None:
    """Train by a loss on a batch of numbers of ``count`` examples."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(net.parameters(), rate)
    net.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss(torch.randint(count, (BATCH_SIZE,), generator=generator)).backward()
        optimiser.step()
    net.eval()


def image_only(task: Task, rate: float, seed: int) -> Answer:
    """The picture alone, of every training example."""
    own = task.training
    net = classifier(own.pictures[0])

    def loss(chosen: Tensor) -> Tensor:
        return F.cross_entropy(net(own.pictures[chosen]), own.labels[chosen])

    fit(net, loss, len(own.labels), task.num_steps, rate, seed)
    return lambda digits, heard: None if heard else net(digits.pictures)


def started(task: Task, setup: Setup, rate: float, seed: int) -> Bimodal:
    """A net whose sound encoder has learned the sounds that are there; with priors, if it has an imputer."""
    own, complete = task.training, task.complete
    net, sounds = Bimodal(own, setup), classifier(own.sounds[0], setup.level)

    def loss(chosen: Tensor) -> Tensor:
        return F.cross_entropy(sounds(own.sounds[complete[chosen]]), own.labels[complete[chosen]])

    fit(sounds, loss, len(complete), task.num_steps, rate, seed)
    net.sound.load_state_dict(sounds[0].state_dict())
    if net.imputer is not None:
        with torch.no_grad():
            net.imputer.priors.copy_(centres(net.sound(own.sounds[complete]), NUM_PRIORS, seed))
    return net


def zeros(task: Task, rate: float, seed: int) -> Answer:
    """Zeros for the features of a missing sound; half of the sounds that are there are hidden now and then."""
    own = task.training
    net = started(task, Setup(None), rate, seed)

    def loss(chosen: Tensor) -> Tensor:
        kept = task.heard[chosen] * (torch.rand(len(chosen)) < 0.5)
        return F.cross_entropy(net(own.pictures[chosen], own.sounds[chosen], kept), own.labels[chosen])

    fit(net, loss, len(own.labels), task.num_steps, rate, seed)
    return lambda digits, heard: net(digits.pictures, digits.sounds, torch.full((len(digits.labels),), heard))


def image_only_joint(task: Task, rate: float, seed: int) -> Answer:
    """The net of `zeros`, which never hears a sound: what a deeper net makes of pictures alone."""
    own = task.training
    net = Bimodal(own, Setup(None))

    def loss(chosen: Tensor) -> Tensor:
        return F.cross_entropy(
            net(own.pictures[chosen], own.sounds[chosen], torch.zeros(BATCH_SIZE)), own.labels[chosen]
        )

    fit(net, loss, len(own.labels), task.num_steps, rate, seed)
    return lambda digits, heard: None if heard else net(digits.pictures, digits.sounds, torch.zeros(len(digits.labels)))


def autoencoder(task: Task, rate: float, seed: int) -> Answer:
    """An autoencoder, taught on the complete examples, makes up the missing spectrograms; then all are used."""
    own, complete = task.training, task.complete
    guess = nn.Sequential(
        encoder(own.pictures[0]), nn.Linear(FEATURES, 16), nn.ReLU(), nn.Linear(16, 128), nn.ReLU(),
        nn.Linear(128, own.sounds[0].numel()), nn.Unflatten(1, own.sounds[0].shape),
    )  # fmt: skip

    def error(chosen: Tensor) -> Tensor:
        return F.mse_loss(guess(own.pictures[complete[chosen]]), own.sounds[complete[chosen]])

    fit(guess, error, len(complete), task.num_steps, rate, seed)
    with torch.no_grad():
        sounds = torch.where(task.heard[:, None, None] > 0, own.sounds, guess(own.pictures))
    net = started(task, Setup(None), rate, seed)
    every = torch.ones(BATCH_SIZE)

    def loss(chosen: Tensor) -> Tensor:
        return F.cross_entropy(net(own.pictures[chosen], sounds[chosen], every), own.labels[chosen])

    fit(net, loss, len(own.labels), task.num_steps, rate, seed)
    return lambda digits, heard: net(
        digits.pictures, digits.sounds if heard else guess(digits.pictures), torch.ones(len(digits.labels))
    )


def smil(task: Task, rate: float, seed: int, setup: Setup) -> Answer:
    """Meta steps: inner on pictures alone, outer on complete examples."""
    own, complete = task.training, task.complete
    net = started(task, setup, rate, seed)
    generator = torch.Generator().manual_seed(seed)

    def loss_on(examples: Tensor, heard: float) -> Callable[[Weights], Tensor]:
        batch = (own.pictures[examples], own.sounds[examples], torch.full((len(examples),), heard))
        return lambda weights: F.cross_entropy(functional_call(net, dict(weights), batch), own.labels[examples])

    def step(chosen: Tensor) -> Tensor:
        lacking = torch.randint(len(own.labels), (BATCH_SIZE,), generator=generator)
        weights = dict(net.named_parameters())
        with_sound, alone = loss_on(complete[chosen], 1.0), loss_on(complete[chosen], 0.0)

        def outer(adapted: Weights) -> Tensor:
            loss = with_sound(adapted)
            return loss + setup.alone_weight * alone(adapted) if setup.alone_weight else loss

        return meta_losses(weights, loss_on(lacking, 0.0), outer, setup.meta).objective

    fit(net, step, len(complete), task.num_steps, rate, seed)
    return lambda digits, heard: net(digits.pictures, digits.sounds, torch.full((len(digits.labels),), heard))


METHODS: dict[str, Method] = {
    "image only": image_only,
    "image only, net of zeros": image_only_joint,
    "zeros": zeros,
    "zeros, batches of SMIL": lambda task, rate, seed: smil(task, rate, seed, Setup(None, meta=SmilConfig(0.0))),
    "autoencoder": autoencoder,
    "SMIL": lambda task, rate, seed: smil(task, rate, seed, Setup()),
    "SMIL, the paper's form": lambda task, rate, seed: smil(task, rate, seed, Setup("paper")),
}
VARIANTS: dict[str, Method] = {
    "SMIL, levels as they come": lambda task, rate, seed: smil(task, rate, seed, Setup(level=False)),
    "SMIL, no inner step": lambda task, rate, seed: smil(task, rate, seed, Setup(meta=SmilConfig(0.0))),
    "SMIL, no regulariser": lambda task, rate, seed: smil(task, rate, seed, Setup(regulariser=None)),
    "SMIL, outer loss of pictures alone": lambda task, rate, seed: smil(task, rate, seed, Setup(alone_weight=1.0)),
}
