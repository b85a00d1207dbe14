"""SMIL's meta-training (Ma et al., AAAI 2021; arXiv:2103.05677): learn from examples that lack a modality, too.

    theta_0 = theta,  theta_k = theta_(k-1) - alpha grad L(D^m; theta_(k-1), psi),  k = 1..K,  theta* = theta_K
    theta, psi  by the optimiser on  L(D^f; theta*, psi)  and, as in the released code, on L(D^m; theta, psi)

D^m are examples that lack a modality, D^f examples that have both; theta are the main network's weights, psi those of
the imputer and the regularisers. This module knows no network: it works on named weights and on losses that are
functions of them. `avse.training.smil_speech` holds the step of the speech net.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from avse.errors import UsageError

Weights = Mapping[str, Tensor]
Loss = Callable[[Weights], Tensor]

PSI = ("imputer", "regulariser")
"""First letters of psi's names."""
OUTER_LOSSES = ("full", "missing", "both")


@dataclass(frozen=True)
class SmilConfig:
    """Hold the settings of the meta step."""

    inner_rate: float = 0.01
    """alpha, the rate of the inner steps, which are plain gradient descent."""
    second_order: bool = False
    """True: the outer loss is differentiated through the inner steps; False: their gradients count as constants."""
    audio_only_weight: float = 1.0
    """Weight of the loss on D^m at theta in the objective: 0 in the paper, 1 in its released code."""
    inner_steps: int = 1
    """K, the number of inner steps (Algorithm 1 of the paper); the released code takes 1."""
    outer_loss: str = "full"
    """Loss on D^f at theta*. "full": with both modalities, as in the paper; "missing": with the second one hidden, as
    in the released code; "both": the sum of the two."""

    def __post_init__(self) -> None:
        if self.inner_rate < 0 or self.audio_only_weight < 0:
            raise UsageError("inner_rate and audio_only_weight cannot be negative.", "Use 0 or more.")
        if self.inner_steps < 1:
            raise UsageError(f"inner_steps is {self.inner_steps}.", "Use 1 or more.")
        if self.outer_loss not in OUTER_LOSSES:
            raise UsageError(f"Unknown outer_loss {self.outer_loss!r}.", f"Use one of: {', '.join(OUTER_LOSSES)}.")


class MetaLosses(NamedTuple):
    """``objective`` is to be differentiated, its value has no meaning; ``inner`` and ``outer`` are values to report."""

    objective: Tensor
    inner: Tensor
    outer: Tensor


def meta_losses(weights: Weights, inner: Loss, outer: Loss, config: SmilConfig) -> MetaLosses:
    """Take the inner steps, and return an objective whose gradient by theta and psi is that of

        outer(theta*, psi) + audio_only_weight * inner(theta, psi).

    The second term is a linear function with the gradient that the first inner step has computed anyway, so that
    nothing is differentiated twice for it.

    Args:
        weights: theta and psi by name; names of psi begin with one of `PSI`.
        inner: loss on D^m as a function of all weights; called once for each inner step, it may take another batch
            each time.
        outer: loss on D^f as a function of all weights.
        config: rate, number and order of the inner steps, and the weight.
    """
    before, slopes = _slopes(inner, weights, config.second_order)
    adapted = _descend(weights, slopes, config.inner_rate)
    for _ in range(config.inner_steps - 1):
        adapted = _descend(adapted, _slopes(inner, adapted, config.second_order)[1], config.inner_rate)
    after = outer(adapted)
    linear = torch.stack([(value * slopes[name].detach()).sum() for name, value in weights.items()]).sum()
    return MetaLosses(after + config.audio_only_weight * linear, before.detach(), after.detach())


def choose_outer(full: Loss, missing: Loss, config: SmilConfig) -> Loss:
    """Return the loss on D^f that ``outer_loss`` asks for, from those with and without the second modality."""
    if config.outer_loss == "both":
        return lambda weights: full(weights) + missing(weights)
    return full if config.outer_loss == "full" else missing


def centres(features: Tensor, count: int, seed: int) -> Tensor:
    """Compute K-means centres `(count, ...)` of features `(N, ...)`: the imputer's priors.

    Raises:
        UsageError: fewer features than centres.
    """
    from sklearn.cluster import MiniBatchKMeans

    if len(features) < count:
        raise UsageError(
            f"{len(features)} features are too few for {count} priors.",
            "Use more clips, or a smaller num_priors.",
        )
    search = MiniBatchKMeans(count, batch_size=max(1024, 4 * count), n_init=3, random_state=seed)
    found = search.fit(features.flatten(1).cpu().numpy()).cluster_centers_
    return torch.from_numpy(found.astype(np.float32)).unflatten(1, features.shape[1:])


def _slopes(loss: Loss, weights: Weights, second_order: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """Return a loss and its gradient by every weight, zeros where it does not depend on one."""
    value = loss(weights)
    gradients = torch.autograd.grad(
        value, list(weights.values()), create_graph=second_order, retain_graph=second_order, materialize_grads=True
    )
    return value, dict(zip(weights, gradients, strict=True))


def _descend(weights: Weights, slopes: Weights, rate: float) -> dict[str, Tensor]:
    """Return theta one step down its slope, and psi as it is."""
    return {name: value if name.startswith(PSI) else value - rate * slopes[name] for name, value in weights.items()}
