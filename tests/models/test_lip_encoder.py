"""The lip stream: torchvision's ResNet-18 weights load untouched, and answer as they do there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet, resnet18

from avse.models.lip_encoder import LipResNet


@pytest.fixture(scope="module")
def original() -> ResNet:
    net = resnet18(weights=None)
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif name.endswith("running_mean"):
            value.normal_(std=0.1)
    return net.eval()


@pytest.fixture(scope="module")
def loaded(original: ResNet) -> LipResNet:
    net = LipResNet(width=64)
    net.load_torchvision(original.state_dict())
    return net.eval()


def stages(net: LipResNet, lips: Tensor) -> list[Tensor]:
    maps = [net.stem(lips)]
    for index in range(4):
        maps.append(net.stage(index, maps[-1]))
    return maps


def test_weights_load_untouched(original: ResNet, loaded: LipResNet) -> None:
    theirs, ours = original.state_dict(), loaded.state_dict()
    assert set(theirs) - set(ours) == {"fc.weight", "fc.bias"}
    assert set(ours) <= set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name != "conv1.weight")


def test_colours_are_averaged_and_frames_share(original: ResNet, loaded: LipResNet) -> None:
    stem = loaded.conv1.weight
    assert stem.shape == (64, 5, 7, 7)
    assert torch.equal(stem, stem[:, :1].expand_as(stem))
    assert torch.allclose(stem.sum(1), original.conv1.weight.mean(1) * 3, atol=1e-7)


@torch.inference_mode()
def test_a_constant_grey_video_gives_torchvisions_features(original: ResNet, loaded: LipResNet) -> None:
    grey = torch.randn(1, 1, 224, 224)
    x = original.maxpool(torch.relu(original.bn1(original.conv1(grey.expand(-1, 3, -1, -1)))))
    expected = [x]
    for layer in (original.layer1, original.layer2, original.layer3, original.layer4):
        expected.append(layer(expected[-1]))
    for ours, theirs in zip(stages(loaded, grey.expand(-1, 2, -1, -1)), expected, strict=True):
        assert torch.allclose(ours, theirs.unsqueeze(2).expand_as(ours), atol=1e-4)
        assert theirs.std() > 0.1


@pytest.mark.parametrize(("side", "sizes"), [(88, [22, 22, 11, 6, 3]), (44, [11, 11, 6, 3, 2])])
def test_sizes_of_the_maps(side: int, sizes: list[int]) -> None:
    net = LipResNet(width=4).eval()
    maps = stages(net, torch.randn(2, 3, side, side))
    channels = [4, *net.channels]
    assert [x.shape for x in maps] == [(2, c, 3, size, size) for c, size in zip(channels, sizes, strict=True)]


def test_a_frame_reaches_two_frames_around_it() -> None:
    net = LipResNet(width=4).eval()
    lips = torch.randn(1, 9, 44, 44)
    moved = lips.clone()
    moved[:, 4] += 1
    changed = (net.stem(lips) - net.stem(moved)).abs().amax((0, 1, 3, 4)) > 1e-6
    assert changed.tolist() == [False] * 2 + [True] * 5 + [False] * 2


def test_at_the_ends_the_outermost_frame_stands_in_for_what_is_beyond() -> None:
    net = LipResNet(width=4).eval()
    lips = torch.randn(1, 4, 44, 44)
    longer = torch.cat([lips[:, :1], lips[:, :1], lips, lips[:, -1:], lips[:, -1:]], dim=1)
    assert torch.allclose(net.stem(lips), net.stem(longer)[:, :, 2:-2], atol=1e-6)


def test_clips_of_a_batch_do_not_mix() -> None:
    net = LipResNet(width=4).eval()
    lips = torch.randn(3, 2, 44, 44)
    for together, alone in zip(stages(net, lips), stages(net, lips[1:2]), strict=True):
        assert torch.allclose(together[1:2], alone, atol=1e-5)
