"""SMIL's two networks besides the main one (Ma et al., AAAI 2021; arXiv:2103.05677): they replace a missing modality.

`Imputer` fills features of a missing modality from priors with weights predicted from the other modality, the
cue; `FeatureRegulariser` adds noise to the features that come after. Neither knows what the modalities are.

Legend: `B` batch, `C` channels, `L` time steps, `K` priors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avse.models.blocks import TemporalContext

Form = Literal["paper", "reference", "blended"]
Kind = Literal["add", "multiply"]


class Imputer(nn.Module):
    """Estimate the features of a missing modality: K priors, mixed with weights predicted from the cue.

        "paper"      x^ = <omega, M> / K,  omega ~ N(1, sigma),  sigma = softplus(f(cue));  in use omega is its mean, 1
        "reference"  x^ = <omega, M>,  omega = softplus(f(cue)), divided by their sum;  nothing is drawn

        "blended"    as "reference", with one more prior: the features of the input, here of a black frame

    The paper does not define the mean "I" of omega. Ours is 1 with a division by K: the estimate is then, on average,
    the mean of the priors, at the level of true features. f is a few temporal convolutions (ours), or one linear layer,
    as in the released code. "blended" is ours: a network that was trained with missing video starts almost unchanged.

    Args:
        cue_channels: C of the cue.
        num_priors: K.
        feature_shape: of one time step's features, channels first: (C',) or (C', H, W).
        form: "paper", "reference" (the released code) or "blended".
        hidden: channels inside f; 0 for one linear layer.

    Raises:
        ValueError: no prior, or an unknown form.
    """

    priors: Tensor
    draws_in_use = False
    """Whether weights are also drawn outside training (`drawing`)."""

    def __init__(
        self,
        cue_channels: int,
        num_priors: int,
        feature_shape: tuple[int, ...],
        form: Form = "reference",
        hidden: int = 64,
    ) -> None:
        super().__init__()
        if num_priors < 1 or form not in get_args(Form):
            raise ValueError(f"cannot fill from {num_priors} priors in the form {form!r}")
        self.form = form
        self.register_buffer("priors", torch.zeros(num_priors, *feature_shape))
        self.gather = self.context = None
        if hidden:
            self.gather = nn.Conv1d(cue_channels, hidden, 1)
            self.context = TemporalContext(hidden, dilations=(1, 2, 4))
        self.spread = nn.Conv1d(hidden or cue_channels, num_priors + (form == "blended"), 1)
        nn.init.zeros_(self.spread.weight)
        with torch.no_grad():
            self.spread.bias.fill_({"paper": -2.0, "reference": 0.0, "blended": -4.0}[form])  # type: ignore[union-attr]
            if form == "blended":
                self.spread.bias[-1] = 20 * num_priors / 64  # type: ignore[index]

    def forward(self, cue: Tensor, features: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Fill features (B, C', L, ...) where ``seen`` (B, L) is 0; the others pass unchanged, to the bit.

        Args:
            cue: (B, C, L), the modality that is always present.
            features: of the modality that may be missing.
            seen: 1 where it is present, 0 where it is missing.

        Returns:
            The features, and the divergence of the weights' distribution from its prior N(1, 1) (a scalar).
        """
        weights, divergence = self.weights(cue)
        mixed = torch.einsum("bkl,kf->bfl", weights[:, : len(self.priors)], self.priors.flatten(1).to(weights))
        filled = mixed.unflatten(1, self.priors.shape[1:]).movedim(-1, 2).to(features.dtype)
        aside = [1] * (features.ndim - 3)
        if self.form == "blended":
            filled = filled + features * weights[:, -1].reshape(seen.shape[0], 1, -1, *aside)
        return torch.where(seen.reshape(seen.shape[0], 1, -1, *aside) > 0, features, filled), divergence

    def weights(self, cue: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weight of each prior: (B, C, L) -> (B, K, L), with the divergence (0 where nothing is drawn).

        "blended" has K + 1 weights, the last one that of the features themselves.
        """
        if self.gather is not None and self.context is not None:
            cue = self.context(torch.relu(self.gather(cue)))
        weights = F.softplus(self.spread(cue))
        if self.form != "paper":
            return weights / weights.sum(1, keepdim=True).clamp_min(1e-8), weights.new_zeros(())
        mean = torch.ones_like(weights)
        return _draw(mean, weights, self.training or self.draws_in_use) / len(self.priors), gaussian_divergence(
            mean - 1, weights
        )


class FeatureRegulariser(nn.Module):
    """Add noise: h + softplus(r) or h softplus(r), r ~ N(mu, sigma), (mu, sigma) from the layer before; in use r = mu.

    One r for each channel and time step; it starts neutral (softplus(r) near 0, or near 1), so that a trained
    network starts almost unchanged (ours).

    Args:
        channels: C' of the features.
        context_channels: C of the layer before.
        kind: what softplus(r) does to the features.
        deviation: sigma; by default predicted like mu, as in the paper. The released code has 1.

    Raises:
        ValueError: an unknown kind, or a deviation below 0.
    """

    draws_in_use = False
    """Whether r is also drawn outside training (`drawing`)."""

    def __init__(
        self, channels: int, context_channels: int, kind: Kind = "multiply", deviation: float | None = None
    ) -> None:
        super().__init__()
        if kind not in get_args(Kind):
            raise ValueError(f"the regulariser can 'add' or 'multiply', not {kind!r}")
        if deviation is not None and deviation < 0:
            raise ValueError(f"a deviation cannot be {deviation}")
        self.kind = kind
        self.deviation = deviation
        neutral = math.log(math.e - 1) if kind == "multiply" else -4.0  # softplus gives 1, or 0.02
        starts = torch.tensor([neutral, -2.0] if deviation is None else [neutral])
        self.predict = nn.Conv1d(context_channels, len(starts) * channels, 1)
        nn.init.zeros_(self.predict.weight)
        with torch.no_grad():
            self.predict.bias.copy_(starts.repeat_interleave(channels))  # type: ignore[union-attr]

    def forward(self, features: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Regularise features (B, C', ..., L) by context (B, C, ..., L); also the divergence of r from N(0, 1)."""
        predicted = self.predict(context.flatten(2, -2).mean(2) if context.ndim > 3 else context)
        mean, deviation = self._distribution(predicted)
        change = F.softplus(_draw(mean, deviation, self.training or self.draws_in_use))  # (B, C', L)
        change = change.reshape(*change.shape[:2], *[1] * (features.ndim - 3), -1)
        answer = features + change if self.kind == "add" else features * change
        return answer, gaussian_divergence(mean, deviation)

    def _distribution(self, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and sigma (B, C', L), predicted from the context."""
        if self.deviation is not None:
            return predicted, torch.full_like(predicted, self.deviation)
        mean, raw = predicted.chunk(2, dim=1)
        return mean, F.softplus(raw)


@contextmanager
def drawing(net: nn.Module) -> Iterator[None]:
    """Let the imputers and regularisers draw as in training, until the end of the block."""
    parts = [part for part in net.modules() if isinstance(part, (Imputer, FeatureRegulariser))]
    for part in parts:
        part.draws_in_use = True
    try:
        yield
    finally:
        for part in parts:
            part.draws_in_use = False


def average_samples(net: nn.Module, predict: Callable[[], Tensor], num_samples: int) -> Tensor:
    """Compute SMIL's prediction: the mean of L predictions, each with its own draw of omega and r.

    Args:
        net: holds the imputers and regularisers; in evaluation mode.
        predict: calls the network and returns the values to average, such as probabilities or a mask.
        num_samples: L; 0 for one prediction from the means of omega and r, nothing drawn.

    Raises:
        ValueError: fewer than 0 samples.
    """
    if num_samples < 0:
        raise ValueError(f"cannot average {num_samples} samples")
    if num_samples == 0:
        return predict()
    with drawing(net):
        total = predict()
        for _ in range(num_samples - 1):
            total = total + predict()
    return total / num_samples


def gaussian_divergence(mean: Tensor, deviation: Tensor) -> Tensor:
    """Compute KL(N(mean, deviation^2) || N(0, 1)), averaged over all elements."""
    variance = deviation.square()
    return 0.5 * (mean.square() + variance - 1 - (variance + 1e-8).log()).mean()


def _draw(mean: Tensor, deviation: Tensor, training: bool) -> Tensor:
    return mean + deviation * torch.randn_like(mean) if training else mean
