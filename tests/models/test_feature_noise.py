"""Feature noise: one gain and one offset per example and channel, in training alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avse.models.feature_noise import FeatureNoise


def features(batch: int = 6) -> Tensor:
    return (
        torch.randn(batch, 5, 4, 3, 3, generator=torch.Generator().manual_seed(2))
        * torch.arange(1, 6.0)[:, None, None, None]
    )


def changed(given: Tensor, strength: float, probability: float = 1.0) -> Tensor:
    torch.manual_seed(7)
    answer: Tensor = FeatureNoise(strength, probability)(given)
    return answer


def test_every_channel_of_an_example_gets_one_gain_and_one_offset() -> None:
    given = features()
    answer = changed(given, 0.5)
    for example in range(6):
        for channel in range(5):
            x, y = given[example, channel].flatten(), answer[example, channel].flatten()
            gain = (y[1] - y[0]) / (x[1] - x[0])
            assert torch.allclose(y - y[0], gain * (x - x[0]), atol=1e-4)
            assert gain >= -1e-5
    assert not torch.allclose(answer[0], answer[1] * given[0] / given[1], atol=0.1)


def test_gain_and_offset_have_the_stated_strength() -> None:
    given = torch.randn(4000, 2, 2, generator=torch.Generator().manual_seed(3)) * torch.tensor([1.0, 10.0])[:, None]
    answer = changed(given, 0.2)
    gains = (answer[..., 1] - answer[..., 0]) / (given[..., 1] - given[..., 0])
    offsets = answer[..., 0] - gains * given[..., 0]
    assert torch.allclose(gains.mean(0), torch.ones(2), atol=0.02)
    assert torch.allclose(gains.std(0), torch.full((2,), 0.2), atol=0.02)
    assert torch.allclose(offsets.std(0), 0.2 * given.std(dim=(0, 2)), rtol=0.06)


def test_only_some_examples_are_changed() -> None:
    given = features(400)
    same = [bool(torch.equal(before, after)) for before, after in zip(given, changed(given, 0.5, 0.75), strict=True)]
    assert 60 < sum(same) < 140


@pytest.mark.parametrize(("strength", "training"), [(0.0, True), (0.5, False)])
def test_nothing_is_drawn_or_changed_without_strength_or_in_evaluation(strength: float, training: bool) -> None:
    noise = FeatureNoise(strength).train(training)
    state = torch.get_rng_state()
    given = features()
    assert noise(given) is given
    assert torch.equal(torch.get_rng_state(), state)
    assert not noise.state_dict()
