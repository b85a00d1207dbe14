"""Settings of training mixtures: probabilities and ranges are checked when they are read."""

from __future__ import annotations

from typing import Any

import pytest

from avse.config import from_mapping
from avse.data.mix_config import RANGES, MixConfig
from avse.errors import UsageError


@pytest.mark.parametrize("probabilities", [(1.0,), (0.0, 1.0), (0.1,) * 10, (1 / 3, 1 / 3, 1 / 3)])
def test_probabilities_that_add_up_to_1(probabilities: tuple[float, ...]) -> None:
    assert MixConfig(num_talkers=probabilities).num_talkers == probabilities


@pytest.mark.parametrize("probabilities", [(), (0.5,), (0.7, 0.7), (1.5, -0.5), (0.04,) * 25])
def test_other_numbers_of_talkers_are_refused(probabilities: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="num_talkers is") as caught:
        MixConfig(num_talkers=probabilities)
    assert "add up to 1" in caught.value.hint


@pytest.mark.parametrize("name", RANGES)
def test_the_lower_end_comes_first(name: str) -> None:
    low, high = getattr(MixConfig(), name)
    if low == high:
        high = low + 0.5
    with pytest.raises(UsageError, match=f"{name} ranges from {high} to {low}"):
        MixConfig(**{name: (high, low)})
    assert getattr(MixConfig(**{name: (low, low)}), name) == (low, low)


@pytest.mark.parametrize("speed", [(0.4, 1.0), (1.0, 2.1)])
def test_speeds_that_resampling_cannot_give(speed: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="speed ranges from"):
        MixConfig(speed=speed)


def test_ranges_are_two_numbers_each() -> None:
    assert all(len(getattr(MixConfig(), name)) == 2 for name in RANGES)


@pytest.mark.parametrize("values", [{"speed": [0.9, 1.1], "num_talkers": [1.0]}, {}])
def test_settings_of_a_file(values: dict[str, Any]) -> None:
    config = from_mapping(MixConfig, values)
    assert {name: list(getattr(config, name)) for name in values} == values
