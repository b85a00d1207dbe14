"""MMTM against the paper's equations, computed again in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from equations import assert_follows, made_features, weights_of

from avse.models.fusion.mmtm import MMTM

SHAPES = [(2, 6, 5, 4), (2, 10, 3, 2, 2), (2, 4, 7), (2, 3)]
CHANNELS = [6, 10, 4, 3]


def paper_equations(w: dict[str, np.ndarray], features: list[np.ndarray], gate: float, relu: bool) -> list[np.ndarray]:
    """Equations 1 to 5 of the paper: a mean over every spatial axis, two matrix products, a sigmoid."""
    squeezes = [x.mean(axis=tuple(range(2, x.ndim))) for x in features]
    z = np.concatenate(squeezes, axis=1) @ w["squeeze.weight"].T + w["squeeze.bias"]
    if relu:
        z = np.maximum(z, 0)
    gated = []
    for m, x in enumerate(features):
        e = z @ w[f"excite.{m}.weight"].T + w[f"excite.{m}.bias"]
        g = gate / (1 + np.exp(-e))
        gated.append(x * g.reshape(g.shape + (1,) * (x.ndim - 2)))
    return gated


@pytest.fixture(params=["paper", "reference"])
def preset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def built(preset: str, channels: list[int]) -> MMTM:
    torch.manual_seed(1)
    return getattr(MMTM, preset)(channels).double()


def test_the_papers_equations(preset: str) -> None:
    gate, relu = (2.0, False) if preset == "paper" else (1.0, True)
    shapes = [(2, 4, 3, 2), (2, 6, 2, 1, 3), (2, 3, 4), (2, 2)]
    module = built(preset, [4, 6, 3, 2])
    assert_follows(module, lambda w, arrays: paper_equations(w, arrays, gate, relu), made_features(shapes))


def test_shapes_stay() -> None:
    features = made_features(SHAPES)
    assert [y.shape for y in MMTM(CHANNELS).double()(*features)] == [x.shape for x in features]


def test_time_squeeze_is_the_equations_at_every_step() -> None:
    torch.manual_seed(0)
    module = MMTM([6, 5, 3], squeeze="time").double()
    audio, video, speaker = made_features([(2, 6, 4, 7), (2, 5, 7, 3, 2), (2, 3)])
    gated = module(audio, video, speaker)
    excitations = []
    for t in range(7):
        step = [audio[..., t].numpy(), video[:, :, t].numpy(), speaker.numpy()]
        at_step = paper_equations(weights_of(module), step, 2.0, relu=False)
        np.testing.assert_allclose(gated[0][..., t].detach().numpy(), at_step[0], atol=1e-5)
        np.testing.assert_allclose(gated[1][:, :, t].detach().numpy(), at_step[1], atol=1e-5)
        excitations.append(np.log(at_step[2] / (2 * speaker.numpy() - at_step[2])))  # the sigmoid undone
    gate = 2 / (1 + np.exp(-np.mean(excitations, axis=0)))
    np.testing.assert_allclose(gated[2].detach().numpy(), speaker.numpy() * gate, atol=1e-5)


def test_time_squeeze_joins_different_lengths_by_linear_interpolation() -> None:
    torch.manual_seed(0)
    module = MMTM([3, 4], squeeze="time").double()
    audio, lips = made_features([(1, 3, 8), (1, 4, 4, 2, 2)])

    def resampled(x: np.ndarray, length: int) -> np.ndarray:
        """Rows of x on another grid over the same stretch; the centre of step i of n is at (i + 1/2) / n."""
        old, new = ((np.arange(n) + 0.5) / n for n in (x.shape[-1], length))
        return np.stack([np.interp(new, old, row) for row in x])

    w = weights_of(module)
    joined = np.concatenate([audio[0].numpy(), resampled(lips[0].numpy().mean((2, 3)), 8)])
    z = w["squeeze.weight"] @ joined + w["squeeze.bias"][:, None]
    e_audio, e_lips = (w[f"excite.{m}.weight"] @ z + w[f"excite.{m}.bias"][:, None] for m in range(2))
    gate_lips = 2 / (1 + np.exp(-resampled(e_lips, 4)))
    gated_audio, gated_lips = module(audio, lips)
    np.testing.assert_allclose(
        gated_audio[0].detach().numpy(),
        audio[0].numpy() * 2 / (1 + np.exp(-e_audio)),
        atol=1e-5,
    )
    np.testing.assert_allclose(gated_lips[0].detach().numpy(), lips[0].numpy() * gate_lips[:, :, None, None], atol=1e-5)


def test_time_axes_can_be_named() -> None:
    torch.manual_seed(0)
    named = MMTM([6, 4], squeeze="time", time_axes=[2, None]).double()
    default = MMTM([6, 4], squeeze="time").double()
    default.load_state_dict(named.state_dict())
    audio, video = made_features([(2, 6, 7, 5), (2, 4, 3, 3)])
    gated, gated_video = named(audio, video)
    assert torch.allclose(gated, default(audio.transpose(2, 3), video.mean((2, 3)))[0].transpose(2, 3))
    ratio = gated_video / video
    assert torch.allclose(ratio, ratio[..., :1, :1].expand_as(ratio))


def test_hidden_widths_of_the_presets() -> None:
    assert MMTM.paper([64, 130]).squeeze.out_features == 48
    assert MMTM.reference([64, 130], ratio=4).squeeze.out_features == 97
    assert MMTM.reference([64, 130], ratio=3).squeeze.out_features == 129


@pytest.mark.parametrize("squeeze", ["global", "time"])
@pytest.mark.parametrize("preset_gate", [1.0, 2.0])
def test_neutral_excitation(squeeze: str, preset_gate: float) -> None:
    """With E = 0 gate 2 leaves the features as they are; gate 1 halves them."""
    module = MMTM(CHANNELS, gate_scale=preset_gate, squeeze=squeeze).double()  # type: ignore[arg-type]
    for excite in module.excite:
        torch.nn.init.zeros_(excite.weight)
        torch.nn.init.zeros_(excite.bias)
    features = made_features(SHAPES)
    for x, gated in zip(features, module(*features), strict=True):
        assert torch.equal(gated, x * preset_gate / 2)


@pytest.mark.parametrize("squeeze", ["global", "time"])
def test_every_gate_changes_its_output_and_gets_gradient(squeeze: str) -> None:
    torch.manual_seed(0)
    module, features = MMTM(CHANNELS, squeeze=squeeze).double(), made_features(SHAPES)  # type: ignore[arg-type]
    before = [y.detach() for y in module(*features)]
    for m, excite in enumerate(module.excite):
        module.zero_grad()
        gated = module(*features)[m]
        gated.square().sum().backward()
        assert excite.weight.grad.abs().amin(dim=1).gt(0).all()
        assert excite.bias.grad.abs().gt(0).all()
        assert module.squeeze.weight.grad.abs().gt(0).all()
        with torch.no_grad():
            excite.bias += 1
        changed = [not torch.allclose(a, b) for a, b in zip(before, module(*features), strict=True)]
        assert changed == [index == m for index in range(len(features))]
        with torch.no_grad():
            excite.bias -= 1


@pytest.mark.parametrize("squeeze", ["global", "time"])
def test_a_modality_without_a_gate_contributes_and_passes_unchanged(squeeze: str) -> None:
    torch.manual_seed(0)
    whole, partial = (MMTM(CHANNELS, gated=gated, squeeze=squeeze).double() for gated in (None, [0, 2]))  # type: ignore[arg-type]
    assert {name.split(".")[1] for name in partial.state_dict() if name.startswith("excite")} == {"0", "2"}
    partial.load_state_dict({name: value for name, value in whole.state_dict().items() if name in partial.state_dict()})
    features = made_features(SHAPES)
    answers, expected = partial(*features), whole(*features)
    assert [answer is x for answer, x in zip(answers, features, strict=True)] == [False, True, False, True]
    assert torch.equal(answers[0], expected[0])
    assert torch.equal(answers[2], expected[2])
    louder = partial(features[0], features[1] + 1, *features[2:])
    assert not torch.allclose(louder[0], answers[0])


def test_every_modality_reaches_every_other() -> None:
    torch.manual_seed(0)
    module, features = MMTM(CHANNELS).double(), made_features(SHAPES)
    before = module(*features)
    for m in range(len(features)):
        moved = module(*[x + (index == m) for index, x in enumerate(features)])
        assert all(not torch.allclose(a, b) for a, b in zip(before, moved, strict=True))


@pytest.mark.parametrize("squeeze", ["global", "time"])
def test_permuted_channels_with_permuted_weights(squeeze: str) -> None:
    torch.manual_seed(0)
    module, (audio, video) = (
        MMTM([6, 5], squeeze=squeeze).double(),
        made_features([(2, 6, 4, 3), (2, 5, 3, 2, 2)]),
    )  # type: ignore[arg-type]
    before, _ = module(audio, video)
    order = torch.randperm(6)
    with torch.no_grad():
        module.squeeze.weight[:, :6] = module.squeeze.weight[:, :6][:, order]
        module.excite[0].weight.copy_(module.excite[0].weight[order])
        module.excite[0].bias.copy_(module.excite[0].bias[order])
    after, _ = module(audio[:, order], video)
    assert not torch.equal(order, torch.arange(6))
    assert torch.allclose(after, before[:, order])


def test_wrong_arguments() -> None:
    for build in (
        lambda: MMTM([8]),
        lambda: MMTM([1, 1]),
        lambda: MMTM([8, 0]),
        lambda: MMTM([8, 8], reduction=0),
        lambda: MMTM([8, 8], gated=[]),
        lambda: MMTM([8, 8], gated=[0, 2]),
        lambda: MMTM([8, 8], squeeze="space"),  # type: ignore[arg-type]
        lambda: MMTM([8, 8], time_axes=[2]),
    ):
        with pytest.raises(ValueError, match=r"cannot join|to be gated|squeeze is|time axes"):
            build()


def test_wrong_features() -> None:
    module = MMTM([8, 4], squeeze="time", time_axes=[-1, 1])
    x, y = torch.zeros(2, 8, 3), torch.zeros(2, 4, 3)
    with pytest.raises(ValueError, match="2 modalities, called with 1"):
        module(x)
    with pytest.raises(ValueError, match=r"expected \(B, 8"):
        module(y, x)
    with pytest.raises(ValueError, match=r"expected \(B, 4"):
        module(x, torch.zeros(4))
    with pytest.raises(ValueError, match="batch of 3"):
        module(x, torch.zeros(3, 4, 3))
    with pytest.raises(ValueError, match="time axis 1"):
        module(x, y)
