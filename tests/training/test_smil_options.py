"""SMIL's options: inner steps, outer losses, places of the regulariser, samples, and what they need to be imported."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping

import pytest
import torch
from small_world import made_inputs, stirred, tiny
from torch import Tensor

from avse.data.dataset import Batch
from avse.errors import UsageError
from avse.models.imputer import FeatureRegulariser, Imputer, average_samples
from avse.models.net import SpeechNet
from avse.training.config import LOSS_WEIGHTS
from avse.training.smil import SmilConfig, choose_outer, meta_losses
from avse.training.smil_speech import smil_step

RATE, THETA, PSI = 0.1, 2.0, 0.7


def descended(steps: int) -> tuple[Tensor, dict[str, Tensor], Mapping[str, Tensor]]:
    """Take the meta step of inner = (t p - 1)^2 / 2 and outer = (t* - 3)^2 / 2 in second order."""
    weights = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in (("theta", THETA), ("imputer.p", PSI))
    }
    adapted: dict[str, Tensor] = {}

    def outer(star: Mapping[str, Tensor]) -> Tensor:
        adapted.update(star)
        return (star["theta"] - 3) ** 2 / 2

    config = SmilConfig(RATE, second_order=True, audio_only_weight=0.0, inner_steps=steps)
    found = meta_losses(weights, lambda w: (w["theta"] * w["imputer.p"] - 1) ** 2 / 2, outer, config)
    found.objective.backward()
    return found.inner, weights, adapted


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_inner_steps_follow_each_other_down_the_slope(steps: int) -> None:
    """t is led towards 1 / p by the factor 1 - a p^2 each step, so dt*/dt is that factor to the power of the steps."""
    inner, weights, adapted = descended(steps)
    factor = (1 - RATE * PSI**2) ** steps
    star = 1 / PSI + (THETA - 1 / PSI) * factor
    assert float(adapted["theta"].detach()) == pytest.approx(star)
    assert adapted["imputer.p"] is weights["imputer.p"]
    assert float(inner) == pytest.approx((THETA * PSI - 1) ** 2 / 2)  # at theta, before any step
    assert float(weights["theta"].grad) == pytest.approx((star - 3) * factor)


def test_each_inner_step_asks_for_its_loss_once() -> None:
    weights, calls = {"theta": torch.ones((), requires_grad=True)}, []
    meta_losses(weights, lambda w: calls.append(1) or w["theta"], lambda w: w["theta"], SmilConfig(inner_steps=3))
    assert len(calls) == 3


@pytest.mark.parametrize(("kind", "expected"), [("full", 3.0), ("missing", 5.0), ("both", 8.0)])
def test_the_outer_loss_is_the_one_asked_for(kind: str, expected: float) -> None:
    outer = choose_outer(lambda w: 3 * w["a"], lambda w: 5 * w["a"], SmilConfig(outer_loss=kind))
    assert float(outer({"a": torch.ones(())})) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"inner_steps": 0}, "inner_steps"), ({"outer_loss": "half"}, "outer_loss"), ({"inner_rate": -1.0}, "negative")],
)
def test_settings_that_make_no_sense(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SmilConfig(**settings)  # type: ignore[arg-type]


def made_batch(net: SpeechNet, seen: float) -> Batch:
    torch.manual_seed(3)
    crops = torch.randint(0, 255, (2, 6, 88, 88), dtype=torch.uint8) if seen else torch.zeros(2, 6, 88, 88).byte()
    target = torch.randn(2, 6 * 640)
    return Batch(target + torch.randn_like(target), target, crops, torch.full((2, 6), seen))


def outer_of(kind: str, crops: bool) -> tuple[float, float, SpeechNet]:
    """Take a meta step of the speech net; its outer loss, the sum of its gradients, and the net."""
    torch.manual_seed(0)
    net = stirred(tiny(imputer="reference", regulariser="multiply", num_priors=4)).train()
    with torch.no_grad():
        net.imputer.priors.normal_()
    faces, voices = made_batch(net, 1.0), made_batch(net, 0.0)
    if not crops:
        faces = Batch(faces.mixture, faces.target, torch.zeros_like(faces.crops), faces.seen)
    torch.manual_seed(1)
    found = smil_step(net, faces, voices, LOSS_WEIGHTS, SmilConfig(outer_loss=kind, audio_only_weight=0.0))
    found.objective.backward()
    return float(found.outer), sum(float(p.grad.abs().sum()) for p in net.parameters() if p.grad is not None), net


def test_the_released_outer_loss_hides_the_video_of_the_speech_net() -> None:
    shown, hidden, both = (outer_of(kind, crops=True)[0] for kind in ("full", "missing", "both"))
    assert outer_of("missing", crops=False)[0] == hidden  # whatever the video shows
    assert outer_of("full", crops=False)[0] != shown
    assert shown != hidden
    assert both == pytest.approx(shown + hidden, rel=0.2)  # each with draws of its own
    assert all(math.isfinite(outer_of(kind, crops=True)[1]) for kind in ("missing", "both"))


def test_the_released_outer_loss_teaches_the_imputer_and_spares_the_lips_statistics() -> None:
    _, _, net = outer_of("missing", crops=True)
    assert net.imputer.spread.weight.grad.any()
    counts = {name: int(v) for name, v in net.named_buffers() if name.startswith("lips.") and "tracked" in name}
    assert set(counts.values()) == {0}


def test_a_second_place_for_the_regulariser() -> None:
    torch.manual_seed(0)
    config = tiny(imputer="reference", regulariser="multiply", num_priors=4, regulariser_places=2)
    net = stirred(config).eval()
    once = SpeechNet(tiny(imputer="reference", regulariser="multiply", num_priors=4)).state_dict()
    assert {name.split(".")[0] for name in set(net.state_dict()) - set(once)} == {"regulariser_bottleneck"}
    inputs = made_inputs(config)
    before = net(inputs).mask
    with torch.no_grad():
        net.regulariser_bottleneck.predict.bias += 1
    assert not torch.allclose(before, net(inputs).mask)
    with pytest.raises(UsageError, match="regulariser_places"):
        tiny(regulariser_places=3)


class Doubtful(torch.nn.Module):
    """A regulariser of a single feature, r ~ N(0.3, 0.5), on what is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.regulariser = FeatureRegulariser(1, 1, "add")
        self.imputer = Imputer(2, 3, (1,), "paper")
        with torch.no_grad():
            self.regulariser.predict.bias.copy_(torch.tensor([0.3, math.log(math.expm1(0.5))]))

    def forward(self) -> Tensor:
        return self.regulariser(torch.zeros(4000, 1, 1), torch.zeros(4000, 1, 1))[0]


def test_samples_in_use_are_drawn_and_averaged() -> None:
    torch.manual_seed(0)
    net = Doubtful().eval()
    softplus = torch.nn.functional.softplus
    assert torch.equal(average_samples(net, net, 0), net())
    assert torch.allclose(net(), softplus(torch.tensor(0.3)).expand(4000, 1, 1))
    one, nine = (average_samples(net, net, count).detach() for count in (1, 9))
    assert one.std() / nine.std() == pytest.approx(3, rel=0.1)
    assert float(nine.mean()) == pytest.approx(float(softplus(0.3 + 0.5 * torch.randn(100000)).mean()), abs=0.01)
    assert torch.equal(net(), net())  # nothing is drawn afterwards
    with pytest.raises(ValueError, match="-1 samples"):
        average_samples(net, net, -1)


def test_an_error_stops_the_drawing() -> None:
    net = Doubtful().eval()
    with pytest.raises(ZeroDivisionError):
        average_samples(net, lambda: 1 / 0, 2)  # type: ignore[arg-type, return-value]
    assert not net.imputer.draws_in_use
    assert not net.regulariser.draws_in_use


def test_the_meta_step_needs_nothing_of_speech() -> None:
    program = (
        "import sys, avse.training.smil, avse.models.imputer; "
        "print({'scipy', 'soundfile', 'librosa', 'avse.models.net', 'avse.data.dataset'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
