"""MSAF against the paper's equations, computed again in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from equations import assert_follows, made_features, weights_of

from avse.models.fusion.msaf import MSAF

SHAPES = [(4, 6, 3, 2), (4, 5, 7), (4, 3)]
CHANNELS = [6, 5, 3]


def paper_equations(
    w: dict[str, np.ndarray], features: list[np.ndarray], width: int = 4, lowest: float = 0.0, training: bool = True,
    masks: list[np.ndarray] | None = None,
) -> list[np.ndarray]:  # fmt: skip
    """Split, drop blocks, join and highlight with real blocks, one after the other; masks (B, n_m) are of dropout."""
    blocks, joined = [], np.zeros((len(features[0]), width))
    for m, x in enumerate(features):
        padding = np.zeros((x.shape[0], -x.shape[1] % width, *x.shape[2:]))
        padded = np.concatenate([x, padding], axis=1)
        own = [padded[:, start : start + width] for start in range(0, padded.shape[1], width)]
        if masks is not None:
            own = [b * masks[m][:, i].reshape(-1, *[1] * (b.ndim - 1)) for i, b in enumerate(own)]
        summed = np.sum(own, axis=0)
        joined += summed.mean(axis=tuple(range(2, x.ndim)))
        blocks += [(m, i, block) for i, block in enumerate(own)]
    z = joined @ w["join.weight"].T + w["join.bias"]
    mean, variance = (z.mean(0), z.var(0)) if training else (w["norm.running_mean"], w["norm.running_var"])
    z = np.maximum((z - mean) / np.sqrt(variance + 1e-5) * w["norm.weight"] + w["norm.bias"], 0)
    logits = [z @ w[f"highlight.{m}.{i}.weight"].T + w[f"highlight.{m}.{i}.bias"] for m, i, _ in blocks]
    total = np.sum(np.exp(logits), axis=0)
    outputs: list[list[np.ndarray]] = [[] for _ in features]
    for (m, _, block), logit in zip(blocks, logits, strict=True):
        attention = lowest + (1 - lowest) * np.exp(logit) / total
        outputs[m].append(block * attention.reshape(attention.shape + (1,) * (block.ndim - 2)))
    return [np.concatenate(own, axis=1)[:, : x.shape[1]] for own, x in zip(outputs, features, strict=True)]


def built(channels: list[int] = CHANNELS, block_channels: int = 4, reduction: int = 2, **settings: float) -> MSAF:
    torch.manual_seed(1)
    return MSAF(channels, block_channels, reduction, **settings).double()  # type: ignore[arg-type]


@pytest.mark.parametrize("lowest", [0.0, 0.5])
def test_the_papers_equations(lowest: float) -> None:
    module = built(lowest_attention=lowest)
    assert_follows(module, lambda w, arrays: paper_equations(w, arrays, lowest=lowest), made_features(SHAPES))


def test_the_papers_equations_in_use() -> None:
    module = built()
    for seed in range(3):
        module(*made_features(SHAPES, seed))
    assert module.norm.running_mean.abs().min() > 0
    assert_follows(module.eval(), lambda w, arrays: paper_equations(w, arrays, training=False), made_features(SHAPES))


def test_segments_are_modules_of_their_own_on_pieces_of_time() -> None:
    module = built([6, 5], segments=3).eval()
    audio, video = made_features([(2, 6, 4, 11), (2, 5, 7, 2, 2)])
    got_audio, got_video = module(audio, video)
    assert (got_audio.shape, got_video.shape) == (audio.shape, video.shape)
    for i, (of_audio, of_video) in enumerate([((0, 3), (0, 2)), ((3, 6), (2, 4)), ((6, 11), (4, 7))]):
        w = weights_of(module.segments[i])
        piece = [audio[..., slice(*of_audio)].numpy(), video[:, :, slice(*of_video)].numpy()]
        want_audio, want_video = paper_equations(w, piece, training=False)
        np.testing.assert_allclose(got_audio[..., slice(*of_audio)].detach().numpy(), want_audio, atol=1e-5)
        np.testing.assert_allclose(got_video[:, :, slice(*of_video)].detach().numpy(), want_video, atol=1e-5)


def test_time_axes_can_be_named() -> None:
    named = built([6, 5], segments=2, time_axes=[2, -2]).eval()
    default = built([6, 5], segments=2).eval()
    a, b = made_features([(2, 6, 5, 3), (2, 5, 4, 3)])
    swapped = default(a.transpose(2, 3), b.transpose(2, 3))
    for got, want in zip(named(a, b), swapped, strict=True):
        assert torch.allclose(got, want.transpose(2, 3))


def test_without_preference_every_block_gets_an_equal_share() -> None:
    """MSAF's neutral gate: with U = 0 all five blocks get (1 + lambda (5 - 1)) / 5."""
    module = built(lowest_attention=0.5)
    for highlight in (h for blocks in module.highlight for h in blocks):
        torch.nn.init.zeros_(highlight.weight)
        torch.nn.init.zeros_(highlight.bias)
    features = made_features(SHAPES)
    for x, y in zip(features, module(*features), strict=True):
        assert torch.allclose(y, x * (0.5 + 0.5 / 5))


def test_every_gate_changes_its_block_and_gets_gradient() -> None:
    features = made_features(SHAPES)
    for m in range(3):
        for i in range(len(built().highlight[m])):
            module = built()
            before = module(*features)[m]
            before[:, 4 * i : 4 * i + 4].square().sum().backward()
            highlight = module.highlight[m][i]
            real = slice(0, min(4, CHANNELS[m] - 4 * i))  # the padding's outputs reach nothing
            assert highlight.bias.grad[real].abs().gt(0).all()
            assert highlight.weight.grad[real].abs().sum(1).gt(0).all()
            assert module.join.weight.grad.abs().gt(0).all()
            with torch.no_grad():
                highlight.bias += 1
            changed = (module(*features)[m] - before).abs().transpose(0, 1).flatten(1).amin(1)
            assert changed[4 * i : 4 * i + 4].gt(0).all()


def test_permuted_channels_with_permuted_weights() -> None:
    """The same permutation in all blocks, and in the weights that read and write them, permutes the output alike."""
    module, features = built([8, 4]), made_features([(4, 8, 3), (4, 4, 2, 2)])
    before = module(*features)
    order = torch.tensor([2, 0, 3, 1])
    with torch.no_grad():
        module.join.weight.copy_(module.join.weight[:, order])
        for highlight in (h for blocks in module.highlight for h in blocks):
            highlight.weight.copy_(highlight.weight[order])
            highlight.bias.copy_(highlight.bias[order])
    orders = [torch.cat([order, 4 + order]), order]
    after = module(*[x[:, o] for x, o in zip(features, orders, strict=True)])
    for a, b, o in zip(after, before, orders, strict=True):
        assert torch.allclose(a, b[:, o])


def test_block_dropout_keeps_the_mean_and_drops_whole_blocks_of_a_sample() -> None:
    always_one = {"lowest_attention": 1.0}
    kept, dropping = built([8, 5], **always_one), built([8, 5], block_dropout=0.4, **always_one)
    features = [torch.ones(20000, 8, 2, dtype=torch.float64), torch.ones(20000, 5, dtype=torch.float64)]
    torch.manual_seed(0)
    outputs = [
        torch.cat([x.flatten(2).mean(2) if x.ndim > 2 else x for x in m(*features)], 1) for m in (kept, dropping)
    ]
    ratio = (outputs[1] / outputs[0]).detach()  # of 13 channels: blocks 0..4, 4..8, 8..12, 12..13
    assert torch.allclose(ratio.mean(0), torch.ones(13, dtype=torch.float64), atol=0.03)  # 5 standard errors
    dropped = ratio == 0
    assert torch.allclose(ratio[~dropped], torch.tensor(1 / 0.6, dtype=torch.float64))
    assert dropped.any()
    starts = [0, 4, 8, 12]
    for start, end in zip(starts, [*starts[1:], 13], strict=True):
        assert torch.allclose(ratio[:, start:end], ratio[:, start : start + 1].expand(-1, end - start))
    together = np.corrcoef(ratio[:, starts].T.numpy()) - np.eye(4)
    assert np.abs(together).max() < 0.04  # blocks fall independently


def test_block_dropout_masks_the_blocks_before_pooling_and_the_same_blocks_at_the_output() -> None:
    module, features = built(block_dropout=0.4), made_features(SHAPES)
    rng = np.random.default_rng(3)
    masks = [rng.integers(0, 2, (4, count)) / 0.6 for count in (2, 2, 1)]
    drawn = iter(masks)
    module._block_mask = lambda x: torch.from_numpy(next(drawn))[..., None]  # type: ignore[method-assign]
    expected = paper_equations(weights_of(module), [x.numpy() for x in features], masks=masks)
    for got, want in zip(module(*features), expected, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), want, atol=1e-6)


def test_block_dropout_is_off_in_use() -> None:
    dropping, kept = built(block_dropout=0.9).eval(), built().eval()
    features = made_features(SHAPES)
    for a, b in zip(dropping(*features), kept(*features), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("training", [True, False])
def test_a_batch_of_one(training: bool) -> None:
    module, features = built().train(training), made_features([(1, *shape[1:]) for shape in SHAPES])
    expected = paper_equations(weights_of(module), [x.numpy() for x in features], training=False)
    for got, want in zip(module(*features), expected, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), want, atol=1e-5)


def test_names_and_sizes_of_the_parts() -> None:
    module = MSAF([10, 3], block_channels=4, reduction=2)
    assert (module.join.in_features, module.join.out_features, module.norm.num_features) == (4, 2, 2)
    assert [len(blocks) for blocks in module.highlight] == [3, 1]
    assert {name.split(".")[0] for name in MSAF([10, 3], 4, segments=2).state_dict()} == {"segments"}


def test_wrong_arguments() -> None:
    for arguments, message in [
        ({"channels": [8]}, "two modalities"),
        ({"channels": [8, 0]}, "two modalities"),
        ({"reduction": 5}, "leaves nothing"),
        ({"reduction": 0}, "leaves nothing"),
        ({"lowest_attention": 1.5}, "lowest_attention"),
        ({"block_dropout": 1.0}, "block_dropout"),
        ({"segments": 0}, "one segment"),
        ({"time_axes": [2]}, "time axes"),
    ]:
        with pytest.raises(ValueError, match=message):
            MSAF(**{"channels": [8, 8], "block_channels": 4, **arguments})  # type: ignore[arg-type]


def test_wrong_features() -> None:
    module = MSAF([6, 5], 4, segments=4)
    x, y = torch.zeros(2, 6, 9), torch.zeros(2, 5, 4)
    module(x, y)
    with pytest.raises(ValueError, match="3 time steps cannot be cut into 4"):
        module(x, y[..., :3])
    with pytest.raises(ValueError, match="1 time steps cannot be cut"):
        module(x, y[..., 0])
    with pytest.raises(ValueError, match="2 modalities, called with 3"):
        module(x, y, y)
    with pytest.raises(ValueError, match=r"expected \(B, 6"):
        module(y, x)
