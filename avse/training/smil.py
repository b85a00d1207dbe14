"""SMIL's meta-training (Ma et al., AAAI 2021; arXiv:2103.05677): learn from what lacks the picture to help what has it.

    theta* = theta - alpha grad_theta L(D^m; theta, psi)     one inner step on examples that lack a modality
    theta, psi  by the optimiser on  L(D^f; theta*, psi)     and, as in the released code, on L(D^m; theta, psi) too

theta are the main network's weights, psi those of the imputer and the regulariser. The step itself knows no network:
it works on named weights and on losses that are functions of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from avse.data.dataset import Batch
from avse.errors import UsageError
from avse.models.net import SpeechNet
from avse.training.steps import prepare_batch, speech_losses, total_loss

Weights = Mapping[str, Tensor]
Loss = Callable[[Weights], Tensor]

HELPERS = ("imputer.", "regulariser.")
"""What the names of psi begin with."""


@dataclass(frozen=True)
class SmilConfig:
    """How the meta step is done."""

    inner_rate: float = 0.01
    """alpha, the rate of the inner step, which is plain gradient descent."""
    second_order: bool = False
    """Whether the outer loss differentiates through the inner step; first order takes its gradient as a constant."""
    audio_only_weight: float = 1.0
    """Weight of the loss on D^m in the objective: 0 in the paper, 1 in its released code."""

    def __post_init__(self) -> None:
        if self.inner_rate < 0 or self.audio_only_weight < 0:
            raise UsageError("inner_rate and audio_only_weight cannot be negative.", "Use 0 or more.")


class MetaLosses(NamedTuple):
    """``objective`` is what to call backward on (its value means nothing); the losses that it stands for."""

    objective: Tensor
    inner: Tensor
    outer: Tensor


def meta_losses(weights: Weights, inner: Loss, outer: Loss, config: SmilConfig) -> MetaLosses:
    """Take the inner step; return an objective whose gradient by theta and psi is that of

        outer(theta*, psi) + audio_only_weight * inner(theta, psi).

    The second term is there as a linear function with the gradient that the inner step has needed anyway, so that
    nothing is differentiated twice for it.

    Args:
        weights: theta and psi by name (psi: `HELPERS`).
        inner: loss on D^m as a function of all weights.
        outer: loss on D^f as a function of all weights.
        config: rate, order, weight.
    """
    before = inner(weights)
    gradients = torch.autograd.grad(
        before, list(weights.values()), create_graph=config.second_order, materialize_grads=True
    )
    slopes = dict(zip(weights, gradients, strict=True))
    adapted = {
        name: value if name.startswith(HELPERS) else value - config.inner_rate * slopes[name]
        for name, value in weights.items()
    }
    after = outer(adapted)
    linear = torch.stack([(value * slopes[name].detach()).sum() for name, value in weights.items()]).sum()
    return MetaLosses(after + config.audio_only_weight * linear, before.detach(), after.detach())


def smil_step(
    net: SpeechNet, faces: Batch, voices: Batch, loss_weights: Mapping[str, float], config: SmilConfig
) -> MetaLosses:
    """Take one meta step of the speech net: D^m are ``voices`` without video, D^f talking ``faces``.

    A batch in which every mouth is made up has hardly any spread: its own statistics would blow it up, and would creep
    into those in use. So the lip stream's batch norms take D^m as they do in use (ours); from a copy of what they
    have gathered, which D^f changes before second-order gradients need it.
    """

    def loss(weights: Weights, batch: Batch) -> Tensor:
        output = functional_call(net, dict(weights), (prepare_batch(net, batch),))
        return total_loss(speech_losses(output, batch, net.config), loss_weights)

    def loss_unseen(weights: Weights) -> Tensor:
        norms = {name: value.clone() for name, value in net.named_buffers() if name.startswith(("lips.", "fusions."))}
        with norms_as_in_use(net.lips, net.fusions):
            return loss({**weights, **norms}, voices)

    return meta_losses(dict(net.named_parameters()), loss_unseen, lambda weights: loss(weights, faces), config)


@contextmanager
def norms_as_in_use(*parts: nn.Module | None) -> Iterator[None]:
    """Let the batch norms of some parts of a net in training use their running statistics, unchanged."""
    modules = [module for part in parts if part is not None for module in part.modules()]
    norms = [module for module in modules if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
