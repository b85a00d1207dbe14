"""AsymFusion: the exchanges pinned by probes, and the block against its equations, computed again in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from equations import assert_follows, made_features
from torch import nn

from avse.models.fusion.asym import AsymFusionBlock, AsymSpeechFusion, PrivateBatchNorm, channel_shuffle, pixel_shift


def shuffled(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k = 4 * (a.shape[1] // 5)
    a, b = a.copy(), b.copy()
    a[:, k:], b[:, k:] = b[:, k:].copy(), a[:, k:].copy()
    return a, b


def shifted(x: np.ndarray) -> np.ndarray:
    """Roll each group by one pixel, and blank the row or column that came round."""
    g, y = x.shape[1] // 5, np.zeros_like(x)
    for i, (step, axis, blank) in enumerate([(1, 2, 0), (1, 3, 0), (-1, 3, -1), (-1, 2, -1)]):
        group = np.roll(x[:, i * g : (i + 1) * g], step, axis=axis)
        np.moveaxis(group, axis, 0)[blank] = 0
        y[:, i * g : (i + 1) * g] = group
    return y


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Cross-correlation with zero padding, as a sum over the kernel's pixels."""
    reach = kernel.shape[-1] // 2
    padded = np.pad(x, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    height, width = x.shape[2:]
    return sum(
        np.einsum("oc,bchw->bohw", kernel[:, :, i, j], padded[:, :, i : i + height, j : j + width])
        for i in range(kernel.shape[2])
        for j in range(kernel.shape[3])
    )


def block_equations(w: dict[str, np.ndarray], features: list[np.ndarray], training: bool) -> list[np.ndarray]:
    def layer(n: int, m: int, x: np.ndarray) -> np.ndarray:
        y, name = convolved(x, w[f"conv{n}.weight"]), f"norm{n}.{m}."
        mean, variance = w[name + "running_mean"], w[name + "running_var"]
        if training:
            mean, variance = y.mean((0, 2, 3)), y.var((0, 2, 3))
        scale = w[name + "weight"] / np.sqrt(variance + 1e-5)
        return (y - mean[:, None, None]) * scale[:, None, None] + w[name + "bias"][:, None, None]

    h = [np.maximum(layer(1, m, x), 0) for m, x in enumerate(features)]
    s = [shifted(x) for x in h]
    h = [np.maximum(layer(2, m, x), 0) for m, x in enumerate(shuffled(*h))]
    h = list(shuffled(h[0] + s[1], h[1] + s[0]))
    return [np.maximum(layer(3, m, x) + features[m], 0) for m, x in enumerate(h)]


def built_block(channels: int = 5, width: int = 6) -> AsymFusionBlock:
    """A block whose norms differ between the modalities."""
    torch.manual_seed(1)
    block = AsymFusionBlock(channels, width).double()
    for norm in (m for m in block.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.weight, 1, 0.3)
        nn.init.normal_(norm.bias, 0, 0.3)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return block


@pytest.mark.parametrize("training", [True, False])
def test_the_blocks_equations(training: bool) -> None:
    features = made_features([(2, 5, 3, 3)] * 2)
    assert_follows(built_block().train(training), lambda w, x: block_equations(w, x, training), features)


@pytest.mark.parametrize("channels", [5, 9, 64])
def test_the_shuffle_exchanges_the_last_fifth_and_undoes_itself(channels: int) -> None:
    a, b = made_features([(2, channels, 3), (2, channels, 3)])
    one, other = channel_shuffle(a, b)
    kept = 4 * (channels // 5)
    assert torch.equal(one[:, :kept], a[:, :kept])
    assert torch.equal(one[:, kept:], b[:, kept:])
    assert torch.equal(other[:, :kept], b[:, :kept])
    assert torch.equal(other[:, kept:], a[:, kept:])
    assert all(torch.equal(x, y) for x, y in zip(channel_shuffle(one, other), (a, b), strict=True))


def test_the_shift_moves_a_probe_down_right_left_and_up() -> None:
    probe = torch.zeros(1, 11, 5, 5)
    probe[:, :, 2, 2] = 1
    lit = [tuple(where[1:]) for where in pixel_shift(probe).nonzero().tolist()]
    assert lit == [(0, 3, 2), (1, 3, 2), (2, 2, 3), (3, 2, 3), (4, 2, 1), (5, 2, 1), (6, 1, 2), (7, 1, 2)]


def test_what_the_shift_brings_in_from_outside_is_zero() -> None:
    down, right, left, up, rest = pixel_shift(torch.ones(1, 5, 3, 3))[0]
    rows, columns = torch.arange(3)[:, None].expand(3, 3), torch.arange(3).expand(3, 3)
    assert torch.equal(down, (rows > 0).float())
    assert torch.equal(right, (columns > 0).float())
    assert torch.equal(left, (columns < 2).float())
    assert torch.equal(up, (rows < 2).float())
    assert not rest.any()


def test_the_shift_of_a_single_pixel_is_nothing() -> None:
    assert torch.equal(pixel_shift(torch.ones(2, 5, 1, 1)), torch.zeros(2, 5, 1, 1))


def test_private_norms_keep_their_own_statistics() -> None:
    norm = PrivateBatchNorm(3)
    assert isinstance(norm[0], nn.BatchNorm2d)
    for _ in range(200):
        outputs = norm(torch.randn(8, 3, 2, 2) + 5, torch.randn(8, 3, 2, 2) * 3)
    assert torch.allclose(norm[0].running_mean, torch.full((3,), 5.0), atol=0.5)
    assert torch.allclose(norm[1].running_var, torch.full((3,), 9.0), rtol=0.4)
    assert all(y.mean().abs() < 1e-5 for y in outputs)


def test_every_part_of_the_block_changes_both_outputs_and_gets_gradient() -> None:
    features = made_features([(2, 8, 4, 5)] * 2)
    for output in range(2):
        block = built_block(8, 15)
        block(*features)[output].square().sum().backward()
        for conv in (block.conv1, block.conv2, block.conv3):
            assert conv.weight.grad.abs().flatten(1).sum(1).gt(0).all()
        for norm in (block.norm1, block.norm2):  # both modalities' inner norms reach both outputs
            assert all(norm[m].weight.grad.abs().sum() > 0 for m in range(2))
        assert block.norm3[output].weight.grad.abs().sum() > 0
    block = built_block(8, 15).eval()
    before = block(*features)
    for name in ("conv1", "conv2", "conv3", "norm1.0", "norm1.1", "norm2.0", "norm2.1"):
        changed = built_block(8, 15).eval()
        with torch.no_grad():
            changed.get_submodule(name).weight.mul_(1.5)
        assert all(not torch.allclose(x, y) for x, y in zip(before, changed(*features), strict=True)), name


def test_each_modality_receives_the_other() -> None:
    block, (a, b) = built_block(8, 5).eval(), made_features([(2, 8, 4, 5)] * 2)
    before, moved_a, moved_b = block(a, b), block(a + 1, b), block(a, b + 1)
    assert not torch.allclose(before[1], moved_a[1])
    assert not torch.allclose(before[0], moved_b[0])


def test_swapped_modalities_with_swapped_norms() -> None:
    block, (a, b) = built_block().eval(), made_features([(2, 5, 4, 5)] * 2)
    before = block(a, b)
    for name in ("norm1", "norm2", "norm3"):
        norm = block.get_submodule(name)
        norm[0], norm[1] = norm[1], norm[0]
    after = block(b, a)
    assert torch.allclose(after[0], before[1])
    assert torch.allclose(after[1], before[0])


@pytest.mark.parametrize(("channels", "width"), [(5, 5), (16, 5), (64, 16)])
def test_default_width(channels: int, width: int) -> None:
    assert AsymFusionBlock(channels).conv2.out_channels == width


def test_wrong_shapes() -> None:
    x = torch.zeros(2, 8, 3, 3)
    block = AsymFusionBlock(8)
    for call, message in [
        (lambda: channel_shuffle(x, x[..., :2]), "one shape"),
        (lambda: channel_shuffle(x[:, :4], x[:, :4]), "5 channels"),
        (lambda: pixel_shift(x[:, :4]), "5 channels"),
        (lambda: pixel_shift(x[..., 0]), "B, C, H, W"),
        (lambda: AsymFusionBlock(4), "5 channels"),
        (lambda: AsymFusionBlock(8, 4), "5 channels"),
        (lambda: block(x), "two maps"),
        (lambda: block(x, x, x), "two maps"),
        (lambda: block(x, x[..., :2]), "one shape"),
        (lambda: PrivateBatchNorm(8)(x), "built for 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_speech_fusion_leaves_a_lip_stream_alone_at_first_and_then_teaches_it() -> None:
    torch.manual_seed(0)
    fusion = AsymSpeechFusion(16, 8)
    audio, video = torch.randn(2, 16, 9, 40), torch.randn(2, 8, 10, 3, 3)
    assert torch.equal(fusion(audio, video)[1], video)
    optimiser = torch.optim.SGD(fusion.parameters(), lr=0.1)
    fusion(audio, video)[1].square().sum().backward()
    optimiser.step()
    louder = fusion(audio * 2, video)[1]
    assert not torch.allclose(louder, fusion(audio, video)[1])


def test_speech_fusion_spreads_the_lips_over_any_number_of_bins() -> None:
    fusion = AsymSpeechFusion(8, 4).eval()
    with torch.no_grad():
        fusion.profile.copy_(torch.linspace(0, 1, 8).expand_as(fusion.profile))
    for num_bins in (3, 8, 33):
        audio, video = torch.zeros(1, 8, num_bins, 4), torch.randn(1, 4, 2, 2, 2)
        gated, _ = fusion(audio, video)
        assert gated.shape == audio.shape
    lips = []
    fusion.block.register_forward_pre_hook(lambda _, inputs: lips.append(inputs[1]))
    fusion(torch.zeros(1, 8, 8, 4), video)
    level = lips[0].abs().mean((0, 1, 3))
    assert torch.allclose(level / level[-1], torch.linspace(0, 1, 8), atol=1e-5)
