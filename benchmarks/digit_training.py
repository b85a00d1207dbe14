"""Ways to train on digits whose sounds are mostly missing, all from one start; for benchmarks/av_mnist.py.

The start is the released code's: a LeNet taught on all pictures, a net of sounds taught on those that are there, the
joint net taught on the pairs, and K-means centres of its sound features as priors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from digit_nets import NUM_PRIORS, Bimodal, Fill, LeNet, Outputs, SoundNet
from digits import Task
from torch import Tensor, nn
from torch.func import functional_call

from avse.training.smil import SmilConfig, Weights, centres, choose_outer, meta_losses

BATCH_SIZE = 64
RATE = 1e-3
WEIGHT_DECAY = 1e-4
PICTURE_STEPS, SOUND_STEPS, JOINT_STEPS = 800, 150, 200
"""Steps of what comes before the method's own training."""
ALIGNMENT = 0.01
"""Weight of the distance between filled and full features in the released outer loss."""


@dataclass(frozen=True)
class Start:
    """Where every method begins: a net of pictures, the joint net, and the fixed features of all sounds."""

    task: Task
    pictures: LeNet
    joint: Bimodal
    training_sounds: Tensor
    test_sounds: Tensor


Answer = Callable[[Tensor, "Tensor | None"], "Tensor | None"]
"""Pictures and features of sounds (or None) to logits; None where a method takes no sound."""


def fit(net: nn.Module, loss: Callable[[Tensor], Tensor], count: int, steps: int, seed: int) -> None:
    """Train with Adam by a loss on a batch of numbers of ``count`` examples, the rate falling to a tenth at 5/8."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(
        (p for p in net.parameters() if p.requires_grad), RATE, weight_decay=WEIGHT_DECAY, fused=True
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, max(steps * 5 // 8, 1), 0.1)
    net.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss(torch.randint(count, (BATCH_SIZE,), generator=generator)).backward()
        optimiser.step()
        schedule.step()
    net.eval()


def fit_classifier(net: nn.Module, inputs: Tensor, labels: Tensor, steps: int, seed: int) -> None:
    """Train a net of one modality."""
    fit(net, lambda chosen: F.cross_entropy(net(inputs[chosen]), labels[chosen]), len(labels), steps, seed)


def make_start(task: Task, seed: int) -> Start:
    """Train what all methods start from: pictures, sounds, and both on the pairs."""
    torch.manual_seed(seed)
    own = task.training
    pairs = own.select(task.with_sound)
    pictures, sounds, joint = LeNet(), SoundNet(), Bimodal("zeros")
    fit_classifier(pictures, own.pictures, own.labels, PICTURE_STEPS, seed)
    fit_classifier(sounds, pairs.sounds, pairs.labels, SOUND_STEPS, seed)
    with torch.no_grad():
        training_sounds, test_sounds = sounds.features(own.sounds), sounds.features(task.test.sounds)
    joint.picture.load_state_dict(pictures.features.state_dict())
    features = training_sounds[task.with_sound]

    def loss(chosen: Tensor) -> Tensor:
        return F.cross_entropy(joint(pairs.pictures[chosen], features[chosen]).logits, pairs.labels[chosen])

    fit(joint, loss, len(pairs.labels), JOINT_STEPS, seed)
    return Start(task, pictures, joint, training_sounds, test_sounds)


def image_only(start: Start, steps: int, seed: int) -> Answer:
    """The picture alone, after its first training."""
    return lambda pictures, sounds: None if sounds is not None else start.pictures(pictures)


def image_only_as_long(start: Start, steps: int, seed: int) -> Answer:
    """The picture alone, on as many batches of pictures as SMIL sees: the joint training's, and two a meta step."""
    net, own = copy.deepcopy(start.pictures), start.task.training
    torch.manual_seed(seed)
    fit_classifier(net, own.pictures, own.labels, JOINT_STEPS + 2 * steps, seed + 1)
    return lambda pictures, sounds: None if sounds is not None else net(pictures)


def trained(start: Start, fill: Fill, config: SmilConfig, steps: int, seed: int) -> Answer:
    """Train on 64 pictures without sound (D^m) and 64 pairs (D^f) a step; with SMIL's fill in meta steps."""
    torch.manual_seed(seed)
    net, own = _begin(start, fill, steps, seed), start.task.training
    pairs, features = own.select(start.task.with_sound), start.training_sounds[start.task.with_sound]
    generator = torch.Generator().manual_seed(seed + 1)

    def run(weights: Weights, pictures: Tensor, sounds: Tensor | None) -> Outputs:
        return functional_call(net, dict(weights), (pictures, sounds))

    def step(chosen: Tensor) -> Tensor:
        labels, given = pairs.labels[chosen], pairs.pictures[chosen]

        def inner(weights: Weights) -> Tensor:
            lacking = torch.randint(len(own.labels), (BATCH_SIZE,), generator=generator)
            return F.cross_entropy(run(weights, own.pictures[lacking], None).logits, own.labels[lacking])

        def full(weights: Weights) -> Tensor:
            return F.cross_entropy(run(weights, given, features[chosen]).logits, labels)

        def missing(weights: Weights) -> Tensor:
            filled, true = run(weights, given, None), run(weights, given, features[chosen])
            distance = F.mse_loss(filled.joined, true.joined) + F.mse_loss(filled.hidden, true.hidden)
            return F.cross_entropy(filled.logits, labels) + ALIGNMENT * distance

        outer = choose_outer(full, missing, config)
        weights = {name: value for name, value in net.named_parameters() if value.requires_grad}
        return meta_losses(weights, inner, outer, config).objective

    fit(net, step, len(pairs.labels), steps, seed + 1)
    return lambda pictures, sounds: net(pictures, sounds).logits


def _begin(start: Start, fill: Fill, steps: int, seed: int) -> Bimodal:
    """Return the joint net with a fill of its own: priors for SMIL, for the autoencoder a training on the pairs."""
    net, with_sound = Bimodal(fill), start.task.with_sound
    net.load_state_dict(start.joint.state_dict(), strict=False)
    features = start.training_sounds[with_sound]
    if net.imputer is not None:
        net.imputer.priors.copy_(centres(features, NUM_PRIORS, seed))
    if net.guess is not None:
        guess = net.guess
        with torch.no_grad():
            seen = start.joint.picture(start.task.training.pictures[with_sound])
        fit(guess, lambda chosen: F.mse_loss(guess(seen[chosen]), features[chosen]), len(with_sound), steps, seed)
        guess.requires_grad_(False)
    return net


def _plain(outer_loss: str) -> SmilConfig:
    return SmilConfig(inner_rate=0.0, outer_loss=outer_loss)


def _paper(**changes: object) -> SmilConfig:
    return SmilConfig(**{"inner_rate": 1e-3, "second_order": True, **changes})  # type: ignore[arg-type]


Method = Callable[[Start, int, int], Answer]


def _method(fill: Fill, config: SmilConfig) -> Method:
    return lambda start, steps, seed: trained(start, fill, config, steps, seed)


METHODS: dict[str, Method] = {
    "image only": image_only,
    "image only, trained as long": image_only_as_long,
    "zeros": _method("zeros", _plain("full")),
    "zeros, released outer loss": _method("zeros", _plain("missing")),
    "autoencoder": _method("autoencoder", _plain("full")),
    "SMIL, released outer loss": _method("smil", _paper(outer_loss="missing")),
    "SMIL, the paper's outer loss": _method("smil", _paper()),
    "SMIL, all as released": _method("smil as released", _paper(outer_loss="missing")),
    "SMIL, both outer losses": _method("smil", _paper(outer_loss="both")),
}


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Compute the share of right answers in %."""
    return float((logits.argmax(1) == labels).float().mean()) * 100


@torch.no_grad()
def score(answer: Answer, start: Start) -> dict[str, float]:
    """Compute the accuracies of a method: pictures alone (test and more), and both where it takes sound."""
    test, more = start.task.test, start.task.more
    alone, many = answer(test.pictures, None), answer(more.pictures, None)
    assert alone is not None
    assert many is not None
    found = {"image only": accuracy(alone, test.labels), "more pictures": accuracy(many, more.labels)}
    both = answer(test.pictures, start.test_sounds)
    return found if both is None else found | {"both": accuracy(both, test.labels)}
