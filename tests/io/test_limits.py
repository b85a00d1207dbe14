"""Limits of one recording: duration, size, memory for large frames, and the time budget of ffmpeg."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avse.errors import InputError, UsageError
from avse.io import limits as module
from avse.io.limits import PATIENCE_FACTOR, SLOWEST_RATE, Limits

PATH = Path("talk.mp4")


@pytest.mark.parametrize("name", ["max_seconds", "max_megabytes", "max_pixels", "patience_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), True, "10", None])
def test_a_limit_is_a_number_above_0(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match="not a number above 0") as caught:
        Limits(**{name: value})
    assert name.replace("max_", "").split("_")[0] in caught.value.message


def test_the_duration_limit_is_included() -> None:
    Limits(max_seconds=60).check_seconds(PATH, 60.0)
    with pytest.raises(InputError, match=r"talk\.mp4 is longer than 60 s") as caught:
        Limits(max_seconds=60).check_seconds(PATH, 60.1)
    assert "--max-seconds" in caught.value.hint


def test_the_size_limit_counts_megabytes_of_a_million_bytes() -> None:
    Limits(max_megabytes=2).check_size(PATH, 2_000_000)
    with pytest.raises(InputError, match="larger than 2 MB"):
        Limits(max_megabytes=2).check_size(PATH, 2_000_001)


def test_each_recording_has_its_own_time_budget() -> None:
    first, second = (Limits(patience_seconds=3).for_recording() for _ in range(2))
    assert first.budget is not None
    assert second.budget is not None
    first.budget.spend(3.0 * PATIENCE_FACTOR)
    assert not first.budget.is_exceeded
    first.budget.spend(0.1)
    assert first.budget.is_exceeded
    assert not second.budget.is_exceeded


def test_decoded_audio_and_video_earn_time() -> None:
    limits = Limits(patience_seconds=1).for_recording()
    assert limits.budget is not None
    limits.budget.spend(PATIENCE_FACTOR + SLOWEST_RATE)
    assert limits.budget.is_exceeded
    limits.grant(2.0)
    assert not limits.budget.is_exceeded


def test_without_a_budget_nothing_is_granted() -> None:
    limits = Limits()
    limits.grant(1e6)
    assert limits.budget is None


@pytest.mark.parametrize(("physical", "allowed"), [(1e6, 1500 + 800), (4000, 2000), (1000, 1500)])
def test_large_frames_may_take_more_memory(monkeypatch: pytest.MonkeyPatch, physical: float, allowed: float) -> None:
    monkeypatch.setattr(module, "_physical_megabytes", lambda: physical)
    assert Limits().for_pixels(8_000_000).max_memory_megabytes == pytest.approx(allowed)
