"""Methods of training on digits whose audio is mostly missing, all from one start; for benchmarks/av_mnist.py.

The start is that of the released code: a LeNet trained on all images, an audio network trained on the audio that is
available, a joint network trained on the pairs, and K-means centres of the audio features as priors.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from digit_nets import NUM_PRIORS, AudioNet, Bimodal, Fill, LeNet, Outputs
from digits import Task
from torch import Tensor, nn
from torch.func import functional_call

from avse.training.smil import SmilConfig, Weights, centres, choose_outer, meta_losses

BATCH_SIZE = 64
RATE = 1e-3
WEIGHT_DECAY = 1e-4
IMAGE_STEPS, AUDIO_STEPS, JOINT_STEPS = 800, 150, 200
"""Training steps of the networks that every method starts from."""
ALIGNMENT = 0.01
"""Weight of the distance between filled and full features in the released outer loss."""


@dataclass(frozen=True)
class Start:
    """Hold what every method starts from: an image network, the joint network, and fixed audio features."""

    task: Task
    images: LeNet
    joint: Bimodal
    training_audio: Tensor
    test_audio: Tensor


Answer = Callable[[Tensor, "Tensor | None"], "Tensor | None"]
"""Map images and audio features (or None) to logits; the result is None if a method does not use audio."""


def fit(net: nn.Module, loss: Callable[[Tensor], Tensor], count: int, steps: int, seed: int) -> None:
    """Train with Adam on a loss of batches of indices below ``count``. The rate falls to a tenth at 5/8."""
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
    """Train a network of one modality."""
    fit(net, lambda chosen: F.cross_entropy(net(inputs[chosen]), labels[chosen]), len(labels), steps, seed)


def make_start(task: Task, seed: int) -> Start:
    """Train what all methods start from: the image network, the audio network, and the joint network on the pairs."""
    torch.manual_seed(seed)
    own = task.training
    pairs = own.select(task.with_audio)
    images, audio, joint = LeNet(), AudioNet(), Bimodal("zeros")
    fit_classifier(images, own.images, own.labels, IMAGE_STEPS, seed)
    fit_classifier(audio, pairs.audio, pairs.labels, AUDIO_STEPS, seed)
    with torch.no_grad():
        training_audio, test_audio = audio.features(own.audio), audio.features(task.test.audio)
    joint.image.load_state_dict(images.features.state_dict())
    features = training_audio[task.with_audio]

    def loss(chosen: Tensor) -> Tensor:
        return F.cross_entropy(joint(pairs.images[chosen], features[chosen]).logits, pairs.labels[chosen])

    fit(joint, loss, len(pairs.labels), JOINT_STEPS, seed)
    return Start(task, images, joint, training_audio, test_audio)


def image_only(start: Start, steps: int, seed: int) -> Answer:
    """Use the image network of the start without further training."""
    return lambda images, audio: None if audio is not None else start.images(images)


def image_only_as_long(start: Start, steps: int, seed: int) -> Answer:
    """Train the image network on as many batches as SMIL sees: those of the joint training, and two per meta step."""
    net, own = copy.deepcopy(start.images), start.task.training
    torch.manual_seed(seed)
    fit_classifier(net, own.images, own.labels, JOINT_STEPS + 2 * steps, seed + 1)
    return lambda images, audio: None if audio is not None else net(images)


def trained(start: Start, fill: Fill, config: SmilConfig, steps: int, seed: int) -> Answer:
    """Train on 64 images without audio (D^m) and 64 pairs (D^f) per step; SMIL's variants take meta steps."""
    torch.manual_seed(seed)
    net, own = _begin(start, fill, steps, seed), start.task.training
    pairs, features = own.select(start.task.with_audio), start.training_audio[start.task.with_audio]
    generator = torch.Generator().manual_seed(seed + 1)

    def run(weights: Weights, images: Tensor, audio: Tensor | None) -> Outputs:
        return functional_call(net, dict(weights), (images, audio))

    def step(chosen: Tensor) -> Tensor:
        labels, given = pairs.labels[chosen], pairs.images[chosen]

        def inner(weights: Weights) -> Tensor:
            lacking = torch.randint(len(own.labels), (BATCH_SIZE,), generator=generator)
            return F.cross_entropy(run(weights, own.images[lacking], None).logits, own.labels[lacking])

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
    return lambda images, audio: net(images, audio).logits


def _begin(start: Start, fill: Fill, steps: int, seed: int) -> Bimodal:
    """Return the joint network prepared for a fill: priors for SMIL; the autoencoder is trained on the pairs."""
    net, with_audio = Bimodal(fill), start.task.with_audio
    net.load_state_dict(start.joint.state_dict(), strict=False)
    features = start.training_audio[with_audio]
    if net.imputer is not None:
        net.imputer.priors.copy_(centres(features, NUM_PRIORS, seed))
    if net.guess is not None:
        guess = net.guess
        with torch.no_grad():
            seen = start.joint.image(start.task.training.images[with_audio])
        fit(guess, lambda chosen: F.mse_loss(guess(seen[chosen]), features[chosen]), len(with_audio), steps, seed)
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
    """Compute the share of correct answers in %."""
    return float((logits.argmax(1) == labels).float().mean()) * 100


@torch.no_grad()
def score(answer: Answer, start: Start) -> dict[str, float]:
    """Compute the accuracies of a method in %: images only (test and more), and both if it uses audio."""
    test, more = start.task.test, start.task.more
    alone, many = answer(test.images, None), answer(more.images, None)
    assert alone is not None
    assert many is not None
    found = {"image only": accuracy(alone, test.labels), "more images": accuracy(many, more.labels)}
    both = answer(test.images, start.test_audio)
    return found if both is None else found | {"both": accuracy(both, test.labels)}
