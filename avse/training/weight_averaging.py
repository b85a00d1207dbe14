"""The mean of several nets' weights: where they began alike, often better than each of them.

After Wortsman et al., "Model soups" (ICML 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from avse.errors import UsageError
from avse.models.blocks import TemporalContext, TimeAttention
from avse.models.net import SpeechNet


def average_weights(nets: Sequence[SpeechNet], shares: Sequence[float]) -> SpeechNet:
    """Return the weighted mean of nets of one shape; context blocks that one lacks count as blocks without effect.

    Raises UsageError for shares that do not go with the nets or do not add up to 1, or nets of other shapes.
    """
    if len(nets) != len(shares) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise UsageError(
            f"The shares {list(shares)} do not fit {len(nets)} networks.",
            "Use one share per network; the shares must add up to 1.",
        )
    deepest = max(nets, key=lambda net: net.config.bottleneck_rounds)
    rounds = deepest.config.bottleneck_rounds
    if any(replace(net.config, bottleneck_rounds=rounds) != deepest.config for net in nets):
        raise UsageError(
            "Networks of different shapes cannot be averaged.", "Compare them: avse models show NAME --json"
        )
    states = [_deepened(net, deepest) for net in nets]
    answer = SpeechNet(deepest.config)
    answer.load_state_dict({name: _mean([s[name] for s in states], shares) for name in deepest.state_dict()})
    return answer


def _deepened(net: SpeechNet, deepest: SpeechNet) -> dict[str, Tensor]:
    """Return the weights of a net, with more blocks in the bottleneck that change nothing."""
    own = net.state_dict()
    added = {name: value for name, value in deepest.state_dict().items() if name not in own}
    silenced = _output_weights(deepest)
    return own | {name: torch.zeros_like(value) if name in silenced else value for name, value in added.items()}


def _output_weights(net: SpeechNet) -> set[str]:
    """Return the names of the weights that scale what context blocks add: with zeros, the blocks change nothing."""
    names = {id(weight): name for name, weight in net.named_parameters()}
    layers: list[nn.Module] = []
    for module in net.modules():
        if isinstance(module, TemporalContext):
            layers += [norm for norm in module.modules() if isinstance(norm, nn.BatchNorm1d)]
        elif isinstance(module, TimeAttention):
            layers.append(module.attention.out_proj)
    return {names[id(weight)] for layer in layers for weight in layer.parameters()}


def _mean(values: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Return the weighted mean; of counters the first."""
    if not values[0].is_floating_point():
        return values[0]
    return torch.stack([share * value for share, value in zip(shares, values, strict=True)]).sum(0)
