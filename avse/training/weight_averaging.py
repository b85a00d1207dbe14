"""The mean of several nets' weights: where they began alike, often better than each of them.

After Wortsman et al., "Model soups" (ICML 2022).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from avse.errors import UsageError
from avse.models.net import SpeechNet

SAYS = re.compile(r"\.further\.\d+\.(context\.layers\.\d+\.1|recall\.attention\.out_proj)\.(weight|bias)$")
"""What a further round of the bottleneck says: nothing, where these are 0."""


def average_weights(nets: Sequence[SpeechNet], shares: Sequence[float]) -> SpeechNet:
    """The weighted mean of nets of one shape; one with fewer rounds in its bottleneck is as if the others said nothing.

    Raises UsageError for shares that do not go with the nets or do not add up to 1, or nets of other shapes.
    """
    if len(nets) != len(shares) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(f"Shares {list(shares)} for {len(nets)} nets.", "Give one for each, which add up to 1.")
    deepest = max(nets, key=lambda net: net.config.bottleneck_rounds)
    rounds = deepest.config.bottleneck_rounds
    if any(replace(net.config, bottleneck_rounds=rounds) != deepest.config for net in nets):
        raise UsageError("Nets of other shapes have no mean.", "See what they are: avse models show NAME --json")
    states = [_deepened(net, deepest) for net in nets]
    answer = SpeechNet(deepest.config)
    answer.load_state_dict({name: _mean([s[name] for s in states], shares) for name in deepest.state_dict()})
    return answer


def _deepened(net: SpeechNet, deepest: SpeechNet) -> dict[str, Tensor]:
    """Weights of a net, with rounds added that say nothing."""
    own = net.state_dict()
    added = {name: value for name, value in deepest.state_dict().items() if name not in own}
    return own | {name: torch.zeros_like(value) if SAYS.search(name) else value for name, value in added.items()}


def _mean(values: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """The weighted mean; of counters the first."""
    if not values[0].is_floating_point():
        return values[0]
    return torch.stack([share * value for share, value in zip(shares, values, strict=True)]).sum(0)
