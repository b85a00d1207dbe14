"""AsymFusion's encoder: its blocks against their equations in numpy, its stages, its ensemble, a start from ResNet."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from equations import assert_follows, made_features
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from avse.models.fusion import AsymBasicBlock, AsymFusionBlock, Ensemble, SharedEncoder


def swap(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k = a.shape[1] // 5 * 4
    return np.concatenate([a[:, :k], b[:, k:]], 1), np.concatenate([b[:, :k], a[:, k:]], 1)


def shift(x: np.ndarray) -> np.ndarray:
    """Copy four groups of channels into a frame one pixel away, row by row and column by column."""
    g, y = x.shape[1] // 5, np.zeros_like(x)
    y[:, :g, 1:], y[:, g : 2 * g, :, 1:] = x[:, :g, :-1], x[:, g : 2 * g, :, :-1]
    y[:, 2 * g : 3 * g, :, :-1], y[:, 3 * g : 4 * g, :-1] = x[:, 2 * g : 3 * g, :, 1:], x[:, 3 * g : 4 * g, 1:]
    return y


def conv(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    reach = kernel.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[2:], axis=(2, 3))
    return np.einsum("bchwij,ocij->bohw", windows[:, :, ::stride, ::stride], kernel)


def norm(w: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    def column(key: str) -> np.ndarray:
        return w[f"{name}.{key}"][:, None, None]

    return (x - column("running_mean")) / np.sqrt(column("running_var") + 1e-5) * column("weight") + column("bias")


def equations(
    w: dict[str, np.ndarray], x: list[np.ndarray], stride: int, exchange: bool, deep: bool
) -> list[np.ndarray]:
    """The bottleneck (deep) or the basic block, one line after the other as in the docstrings."""
    first = 1 if deep else stride
    h = [np.maximum(norm(w, f"norm1.{m}", conv(x[m], w["conv1.weight"], first)), 0) for m in range(len(x))]
    s = [shift(each) for each in h]
    h = list(swap(*h)) if exchange else h
    h = [norm(w, f"norm2.{m}", conv(h[m], w["conv2.weight"], stride if deep else 1)) for m in range(len(x))]
    h = [np.maximum(each, 0) for each in h] if deep else h
    h = list(swap(h[0] + s[1], h[1] + s[0])) if exchange else h
    if deep:
        h = [norm(w, f"norm3.{m}", conv(h[m], w["conv3.weight"], 1)) for m in range(len(x))]
    if "shortcut.conv.weight" in w:
        x = [norm(w, f"shortcut.norm.{m}", conv(x[m], w["shortcut.conv.weight"], stride)) for m in range(len(x))]
    return [np.maximum(h[m] + x[m], 0) for m in range(len(x))]


def stir(module: nn.Module) -> nn.Module:
    """Give every norm a past of its own."""
    for each in (m for m in module.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(each.weight, 1, 0.3)
        nn.init.normal_(each.bias, 0, 0.3)
        each.running_mean.normal_()
        each.running_var.uniform_(0.5, 2)
    return module.double().eval()


@pytest.mark.parametrize("deep", [True, False])
@pytest.mark.parametrize(
    ("in_channels", "stride", "exchange"), [(5, 1, True), (5, 1, False), (3, 1, True), (3, 2, False)]
)
def test_the_equations_of_every_block(deep: bool, in_channels: int, stride: int, exchange: bool) -> None:
    torch.manual_seed(0)
    settings = {"in_channels": in_channels, "stride": stride, "exchange": exchange}
    block = AsymFusionBlock(5, 5, **settings) if deep else AsymBasicBlock(5, **settings)
    features = made_features([(1, in_channels, 4, 3)] * 2)
    assert_follows(stir(block), lambda w, x: equations(w, x, stride, exchange, deep), features)


def test_three_modalities_share_a_block_that_exchanges_nothing() -> None:
    torch.manual_seed(0)
    block = stir(AsymBasicBlock(5, exchange=False, num_modalities=3))
    features = made_features([(1, 5, 3, 3)] * 3)
    assert_follows(block, lambda w, x: equations(w, x, 1, False, False), features)


def test_keys_of_the_plain_block_are_those_of_stored_weights() -> None:
    expected = {f"conv{n}.weight" for n in (1, 2, 3)}
    for n, m in ((n, m) for n in (1, 2, 3) for m in (0, 1)):
        expected |= {f"norm{n}.{m}.{key}" for key in nn.BatchNorm2d(1).state_dict()}
    assert set(AsymFusionBlock(8).state_dict()) == expected


@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_stages_halve_the_map_and_the_last_blocks_exchange(block: str) -> None:
    encoder = SharedEncoder(1, (1, 2, 3, 2), block, width=8)
    stages = encoder(torch.randn(2, 1, 64, 32), torch.randn(2, 1, 64, 32))
    factor = 4 if block == "bottleneck" else 1
    assert [[tuple(x.shape) for x in maps] for maps in stages] == [
        [(2, factor * 8 * 2**n, 16 >> n, 8 >> n)] * 2 for n in range(4)
    ]
    flags = [[each.exchange for each in getattr(encoder, f"layer{n}")] for n in (1, 2, 3, 4)]
    assert flags == [[False], [False, True], [False, False, True], [False, True]]


def reached(exchange: list[list[bool]]) -> list[bool]:
    """Whether the second modality changes the first one's map, stage by stage."""
    torch.manual_seed(0)
    encoder = SharedEncoder(1, (1, 2, 1, 2), "basic", width=8, exchange=exchange).eval()
    a, b = torch.randn(2, 1, 1, 64, 64)
    return [not torch.equal(x[0], y[0]) for x, y in zip(encoder(a, b), encoder(a, b + 1), strict=True)]


def test_modalities_are_joined_only_where_exchange_is_on() -> None:
    off = [[False], [False, False], [False], [False, False]]
    assert reached(off) == [False] * 4
    assert reached([[True], *off[1:]]) == [True] * 4
    assert reached([*off[:3], [False, True]]) == [False, False, False, True]


def test_a_shared_encoder_has_the_parameters_of_one_and_norms_of_two() -> None:
    def size(**settings: int) -> int:
        return sum(p.numel() for p in SharedEncoder(3, (2, 2, 2, 2), "basic", 8, **settings).parameters())

    one, two = size(num_modalities=1), size()
    norms = 2 * (
        8 * 5 + 16 * 5 + 32 * 5 + 64 * 5
    )  # gain and offset: the stem and 4 norms, then 4 and one of a shortcut
    assert two - one == norms
    assert two < 1.1 * one


def torchvision_stages(net: nn.Module, x: Tensor) -> Iterator[Tensor]:
    x = F.max_pool2d(torch.relu(net.bn1(net.conv1(x))), 3, stride=2, padding=1)
    for n in (1, 2, 3, 4):
        x = net.get_submodule(f"layer{n}")(x)
        yield x


@pytest.mark.parametrize(("kind", "block"), [(BasicBlock, "basic"), (Bottleneck, "bottleneck")])
def test_a_start_from_torchvision_answers_as_it_does(kind: type, block: str) -> None:
    torch.manual_seed(0)
    layers = (1, 2, 1, 1)
    net = ResNet(kind, list(layers)).eval()
    for each in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
        each.running_mean.normal_(std=0.1)
    encoder = SharedEncoder(3, layers, block, exchange=[[False] * n for n in layers]).eval()
    encoder.load_torchvision(net.state_dict())
    a, b = torch.randn(2, 1, 3, 64, 64)
    with torch.no_grad():
        for maps, x, y in zip(encoder(a, b), torchvision_stages(net, a), torchvision_stages(net, b), strict=True):
            assert torch.allclose(maps[0], x, atol=1e-5)
            assert torch.allclose(maps[1], y, atol=1e-5)


def test_the_ensemble_is_a_softmax_of_learned_weights_and_teaches_nothing_else() -> None:
    ensemble, (a, b) = Ensemble().double(), made_features([(2, 3, 4, 4)] * 2)
    assert torch.allclose(ensemble(a, b), (a + b) / 2)
    with torch.no_grad():
        ensemble.alpha.copy_(torch.tensor([0.3, -1.1]))
    grown = np.exp(ensemble.alpha.detach().numpy())
    share = grown / grown.sum()
    a.requires_grad_()
    found = ensemble(a, b)
    np.testing.assert_allclose(found.detach(), share[0] * a.detach().numpy() + share[1] * b.numpy(), atol=1e-12)
    found.sum().backward()
    slope = share[0] * share[1] * float((a - b).detach().sum())
    np.testing.assert_allclose(ensemble.alpha.grad, [slope, -slope], atol=1e-9)
    assert a.grad is None


def test_what_cannot_be_built_or_joined() -> None:
    x = torch.zeros(1, 8, 4, 4)
    for call, message in [
        (lambda: AsymFusionBlock(8, stride=2), "stride 1"),
        (lambda: AsymBasicBlock(8, num_modalities=3), "two modalities"),
        (lambda: AsymBasicBlock(4), "5 channels"),
        (lambda: AsymBasicBlock(8)(x), "two maps"),
        (lambda: SharedEncoder(layers=(1, 1, 1)), "cannot build"),
        (lambda: SharedEncoder(block="tall"), "cannot build"),
        (lambda: SharedEncoder(layers=(1, 1, 1, 1), exchange=[[True]] * 4, width=8), "stride 1"),
        (lambda: SharedEncoder(layers=(1, 1, 1, 1), exchange=[[True]] * 3), "one value per block"),
        (lambda: Ensemble()(x, x[:, :1]), "one shape"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
