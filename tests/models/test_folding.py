"""Batch norms folded into convolutions."""

from __future__ import annotations

import copy

import pytest
import torch
from small_world import tiny
from torch import nn

from avse.models.folding import fold_batch_norms
from avse.models.fusion import FUSIONS
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet
from avse.weights.checkpoint import load_checkpoint
from avse.weights.pretrained import find, load_model


def _net(fusion: str = "mmtm") -> SpeechNet:
    """Build a small network in eval mode whose batch norms all change what they are given."""
    torch.manual_seed(0)
    net = SpeechNet(tiny(fusion))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                assert values is not None
                values.uniform_(0.5, 1.5)
    return net.eval()


def _inputs(net: SpeechNet) -> Inputs:
    steps, side = 8 * 640 // net.config.hop, net.config.lip_side
    return Inputs(torch.randn(2, 321, steps, dtype=torch.cfloat), torch.randn(2, 8, side, side), torch.ones(2, 8))


def _norms(net: nn.Module) -> list[nn.Module]:
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_folding_changes_only_the_rounding(fusion: str) -> None:
    net = _net(fusion)
    folded = copy.deepcopy(net)
    fold_batch_norms(folded)
    with torch.inference_mode():
        given = _inputs(net)
        expected, answer = net(given), folded(given)
    assert torch.allclose(answer.mask, expected.mask, atol=1e-5)
    if expected.energies is not None:
        assert torch.allclose(answer.energies, expected.energies, rtol=1e-4, atol=1e-4)


def test_only_the_batch_norm_of_the_input_is_left() -> None:
    net = _net()
    assert len(_norms(net)) > 20
    fold_batch_norms(net)
    assert _norms(net) == [net.audio.norm]


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(ValueError, match="trained"):
        fold_batch_norms(_net().train())


def test_models_are_folded_for_use_but_not_as_checkpoints() -> None:
    used, stored = load_model("avse-small", "cpu"), load_checkpoint(find("avse-small"))
    assert len(_norms(used.net)) < len(_norms(stored.net))
    assert used.sha256 == stored.sha256
    with torch.inference_mode():
        given = _inputs(used.net)
        assert torch.allclose(used.net(given).mask, stored.net(given).mask, atol=1e-5)
