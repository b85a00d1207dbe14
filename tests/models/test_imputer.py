"""What stands in for lips that are not seen: known weights and priors, single frames, whole files, shipped nets."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from small_world import made_inputs, stirred, tiny
from torch import Tensor

from avse.models.imputer import FeatureRegulariser, Imputer, gaussian_divergence
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet
from avse.weights.checkpoint import load_checkpoint, save_checkpoint

FORMS = ["paper", "reference", "blended"]


def built(form: str, shape: tuple[int, ...] = (3, 2, 4), num_priors: int = 5) -> Imputer:
    """An imputer that has learned something: no part is at its start."""
    imputer = Imputer(6, num_priors, shape, form)  # type: ignore[arg-type]
    with torch.no_grad():
        for value in imputer.parameters():
            value.add_(0.15 * torch.randn_like(value))
        imputer.priors.normal_()
    return imputer


def parts(num_frames: int = 7, shape: tuple[int, ...] = (3, 2, 4)) -> tuple[Tensor, Tensor]:
    """A cue and features (B, C, V, ...)."""
    return torch.randn(2, 6, num_frames), torch.randn(2, shape[0], num_frames, *shape[1:])


def imputing(form: str = "reference", **settings: object) -> SpeechNet:
    net = stirred(tiny(imputer=form, num_priors=4, **settings))
    with torch.no_grad():
        assert net.imputer is not None
        net.imputer.priors.uniform_(0, 2)
    return net.eval()


def without(inputs: Inputs, frames: slice) -> Inputs:
    """The same inputs with some frames lost, as `features.prepare` gives them."""
    seen = inputs.seen.clone()
    seen[:, frames] = 0
    return Inputs(inputs.spectrum, inputs.lips * seen[..., None, None], seen)


@pytest.mark.parametrize("training", [False, True])
def test_weights_of_the_released_form_are_shares(training: bool) -> None:
    weights, divergence = built("reference").train(training).weights(parts()[0])
    assert weights.shape == (2, 5, 7)
    assert (weights > 0).all()
    assert torch.allclose(weights.sum(1), torch.ones(2, 7))
    assert weights.std() > 0.01
    assert divergence == 0


def test_the_papers_form_in_use_is_the_mean_of_the_priors() -> None:
    imputer = built("paper").eval()
    cue, features = parts()
    filled, _ = imputer(cue, features, torch.zeros(2, 7))
    expected = imputer.priors.mean(0)[None, :, None].expand_as(filled)
    assert torch.allclose(filled, expected, atol=1e-6)


def test_without_deviation_training_is_use() -> None:
    imputer = built("paper").train()
    torch.nn.init.zeros_(imputer.spread.weight)
    torch.nn.init.constant_(imputer.spread.bias, -60.0)
    cue, features = parts()
    drawn, _ = imputer(cue, features, torch.zeros(2, 7))
    assert torch.allclose(drawn, imputer.eval()(cue, features, torch.zeros(2, 7))[0], atol=1e-6)


def test_weights_of_the_papers_form_are_drawn_around_one_as_widely_as_the_cue_demands() -> None:
    imputer = built("paper").eval()
    cue = parts()[0]
    logits = imputer.spread(imputer.context(torch.relu(imputer.gather(cue))))
    sigma = torch.nn.functional.softplus(logits)
    imputer.training = True  # what is drawn, without batch norms that see another batch
    draws = 5 * imputer.weights(cue.repeat(8000, 1, 1))[0].unflatten(0, (8000, 2))
    assert torch.allclose(draws.mean(0), torch.ones(2, 5, 7), atol=0.15)
    assert torch.allclose(draws.std(0), sigma, rtol=0.1)
    assert sigma.max() > 1.5 * sigma.min()


def test_one_linear_layer_decides_the_weights_of_the_released_code() -> None:
    imputer = Imputer(6, 5, (3,), "reference", hidden=0)
    assert {name for name, _ in imputer.named_parameters()} == {"spread.weight", "spread.bias"}
    torch.nn.init.normal_(imputer.spread.weight)
    cue = parts()[0]
    shares = (1 + (torch.einsum("kc,bcl->bkl", imputer.spread.weight[..., 0], cue)).exp()).log()
    torch.testing.assert_close(imputer.weights(cue)[0], shares / shares.sum(1, keepdim=True))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("shape", [(3,), (3, 5), (3, 2, 4)])
def test_what_is_seen_passes_bit_by_bit(form: str, training: bool, shape: tuple[int, ...]) -> None:
    imputer = built(form, shape).train(training)
    cue, features = parts(shape=shape)
    seen = (torch.rand(2, 7) < 0.5).float()
    filled, _ = imputer(cue, features, seen)
    there = seen.bool()
    assert filled.shape == features.shape
    assert torch.equal(filled.transpose(1, 2)[there], features.transpose(1, 2)[there])
    assert (filled.transpose(1, 2)[~there] != features.transpose(1, 2)[~there]).all()


@pytest.mark.parametrize("form", FORMS)
def test_one_lost_frame_is_filled_there_alone_whatever_was_in_it(form: str) -> None:
    imputer = built(form).eval()
    cue, features = parts()
    seen = torch.ones(2, 7)
    seen[:, 3] = 0
    filled, _ = imputer(cue, features, seen)
    changed = (filled != features).flatten(3).any(-1).any(1)
    assert changed.tolist() == [[index == 3 for index in range(7)]] * 2
    broken = features.clone()
    broken[:, :, 3] = torch.nan
    knows = imputer(cue, broken, seen)[0].isnan().any()
    assert bool(knows) == (form == "blended")


def test_what_is_filled_in_is_the_weighted_sum_of_the_priors() -> None:
    imputer = built("reference").eval()
    cue, features = parts()
    weights, _ = imputer.weights(cue)
    filled, _ = imputer(cue, features, torch.zeros(2, 7))
    by_hand = sum(weights[1, k, 4] * imputer.priors[k] for k in range(5))
    assert torch.allclose(filled[1, :, 4], by_hand, atol=1e-6)


def test_the_blended_form_weighs_what_came_in_as_one_more_prior() -> None:
    imputer = built("blended").eval()
    cue, features = parts()
    weights, _ = imputer.weights(cue)
    assert weights.shape == (2, 6, 7)
    assert torch.allclose(weights.sum(1), torch.ones(2, 7))
    filled, _ = imputer(cue, features, torch.zeros(2, 7))
    by_hand = sum(weights[1, k, 4] * imputer.priors[k] for k in range(5)) + weights[1, 5, 4] * features[1, :, 4]
    assert torch.allclose(filled[1, :, 4], by_hand, atol=1e-6)


@pytest.mark.parametrize("num_priors", [4, 64, 200])
def test_the_blended_form_starts_with_what_came_in(num_priors: int) -> None:
    weights, _ = Imputer(6, num_priors, (3,), "blended").eval().weights(parts()[0])
    assert weights[:, -1].min() > 0.9


def test_in_use_the_audio_sets_the_weights_except_in_the_papers_form() -> None:
    cue, features = parts()
    for form in FORMS:
        imputer = built(form).eval()
        filled = [imputer(audio, features, torch.zeros(2, 7))[0] for audio in (cue, torch.randn_like(cue))]
        assert torch.allclose(*filled, atol=1e-4) == (form == "paper"), form


@pytest.mark.parametrize("form", FORMS)
def test_every_weight_of_the_imputer_learns(form: str) -> None:
    imputer = built(form).train()
    filled, divergence = imputer(*parts(), torch.zeros(2, 7))
    (filled.square().sum() + divergence).backward()
    assert all(value.grad.abs().max() > 1e-5 for value in imputer.parameters())
    assert imputer.priors.grad is None


@pytest.mark.parametrize("kind", ["add", "multiply"])
@pytest.mark.parametrize("shape", [(2, 4, 9), (2, 4, 5, 9), (2, 4, 3, 5, 9)])
def test_the_regulariser_starts_neutral(kind: str, shape: tuple[int, ...]) -> None:
    features, context = torch.randn(shape), torch.randn(2, 3, *shape[2:])
    module = FeatureRegulariser(4, 3, kind).eval()  # type: ignore[arg-type]
    answer, _ = module(features, context)
    assert answer.shape == features.shape
    assert torch.allclose(answer, features, atol=0.02)
    stirred_answers = [module.train()(features, context)[0] for _ in range(2)]
    assert not torch.equal(*stirred_answers)


@pytest.mark.parametrize("kind", ["add", "multiply"])
def test_what_the_regulariser_does(kind: str) -> None:
    """With r known: one softplus(r) for each channel and step, at every frequency alike."""
    module = FeatureRegulariser(2, 3, kind).eval()  # type: ignore[arg-type]
    torch.nn.init.normal_(module.predict.weight)
    features, context = torch.randn(1, 2, 5, 4), torch.randn(1, 3, 6, 4)
    answer, divergence = module(features, context)
    mean = module.predict.weight[:2, :, 0] @ context[0].mean(1) + module.predict.bias[:2, None]
    change = (1 + mean.exp()).log()[None, :, None]
    expected = features + change if kind == "add" else features * change
    assert torch.allclose(answer, expected, atol=1e-5)
    assert divergence > 0


def test_a_given_deviation_is_that_of_every_draw_and_has_no_weights() -> None:
    module = FeatureRegulariser(2, 3, "add", deviation=1.0).train()
    assert module.predict.out_channels == 2
    torch.nn.init.normal_(module.predict.weight)
    context = torch.randn(1, 3, 1).expand(20000, 3, 1)
    change, divergence = module(torch.zeros(20000, 2, 1), context)
    drawn = change.detach().expm1().log()  # r, of softplus(r)
    mean = module.predict(context).detach()
    assert torch.allclose(drawn.mean(0), mean[0], atol=0.05)
    assert torch.allclose(drawn.std(0), torch.ones(2, 1), atol=0.05)
    assert float(divergence.detach()) == pytest.approx(float(mean.square().mean()) / 2, abs=1e-5)
    still = FeatureRegulariser(2, 3, "add", deviation=0.0).train()
    assert torch.equal(*(still(torch.zeros(1, 2, 4), torch.ones(1, 3, 4))[0] for _ in range(2)))


def test_divergence_of_known_gaussians() -> None:
    one = torch.ones(3)
    assert gaussian_divergence(0 * one, one) == pytest.approx(0, abs=1e-6)
    assert gaussian_divergence(2 * one, one) == pytest.approx(2.0)
    assert gaussian_divergence(0 * one, 2 * one) == pytest.approx(1.5 - math.log(2))
    far = torch.distributions.kl_divergence(torch.distributions.Normal(0.3, 0.7), torch.distributions.Normal(0.0, 1.0))
    assert gaussian_divergence(0.3 * one, 0.7 * one) == pytest.approx(float(far))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="0 priors"):
        Imputer(4, 0, (3,))
    with pytest.raises(ValueError, match="'guess'"):
        Imputer(4, 2, (3,), "guess")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'divide'"):
        FeatureRegulariser(4, 4, "divide")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be -1"):
        FeatureRegulariser(4, 4, deviation=-1)


@pytest.mark.parametrize("form", FORMS)
def test_in_the_net_visible_frames_keep_their_effect(form: str) -> None:
    """The imputer's own weights change nothing where every frame is seen; where one is lost they do."""
    net = imputing(form)
    inputs = made_inputs(net.config)
    lost = without(inputs, slice(2, 3))
    before = [net(given).mask for given in (inputs, lost)]
    with torch.no_grad():
        net.imputer.priors.mul_(3)
    assert torch.equal(net(inputs).mask, before[0])
    assert not torch.allclose(net(lost).mask, before[1])


@pytest.mark.parametrize("lip_side", [44, 88])
def test_a_whole_file_without_video(lip_side: int) -> None:
    net = imputing(lip_side=lip_side, regulariser="multiply")
    inputs = without(made_inputs(net.config), slice(None))
    output = net(inputs)
    assert output.mask.isfinite().all()
    assert output.energies.isfinite().all()
    other = inputs._replace(lips=torch.randn_like(inputs.lips))
    assert torch.equal(net(other).mask, output.mask)


def test_a_lost_second_is_felt_around_it_alone() -> None:
    """Beyond the temporal reach of the network, the gap has no effect."""
    net = imputing()
    inputs = made_inputs(net.config, batch=1, num_frames=150)
    with torch.no_grad():
        whole, lost = net(inputs).mask, net(without(inputs, slice(60, 85))).mask
    changed = (whole != lost).any(1)[0].nonzero()[:, 0]
    assert changed.min() > 2 * (60 - 45)
    assert changed.max() < 2 * (85 + 45)
    inside = (whole - lost).abs()[..., 2 * 65 : 2 * 80]
    assert inside.max() > 1e-3


def test_there_is_no_seam_where_the_video_ends() -> None:
    """The mask changes no faster from frame to frame at the ends of a gap than it does anywhere."""
    net = imputing()
    inputs = made_inputs(net.config, batch=1, num_frames=100)
    with torch.no_grad():
        mask = net(without(inputs, slice(40, 65))).mask[0]
    speed = (mask[:, 1:] - mask[:, :-1]).abs().mean(0)
    ends = torch.cat([speed[76:84], speed[126:134]])
    assert ends.max() < 1.3 * speed.max()
    assert ends.mean() < 1.3 * speed.mean()


def test_parts_exist_only_where_they_are_asked_for_and_move_nothing_else() -> None:
    nets = []
    for settings in ({}, {"imputer": "paper", "regulariser": "add", "num_priors": 3}):
        torch.manual_seed(1)
        nets.append(SpeechNet(tiny(**settings)).eval())
    plain, more = (net.state_dict() for net in nets)
    assert not any(name.startswith(("imputer", "regulariser")) for name in plain)
    assert {name.split(".")[0] for name in set(more) - set(plain)} == {"imputer", "regulariser"}
    assert all(torch.equal(more[name], value) for name, value in plain.items())
    inputs = made_inputs(nets[0].config)
    assert nets[0](inputs).divergence is None
    assert nets[1](inputs).divergence > 0


def test_priors_are_stored_in_the_checkpoint_and_come_back(tmp_path: Path) -> None:
    net = imputing("paper", regulariser="add")
    save_checkpoint(tmp_path / "net.safetensors", net, {})
    found = load_checkpoint(tmp_path / "net.safetensors").net
    assert found.config == net.config
    assert torch.equal(found.imputer.priors, net.imputer.priors)
    inputs = without(made_inputs(net.config), slice(1, 4))
    assert torch.equal(found(inputs).mask, net(inputs).mask)
