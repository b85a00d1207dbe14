"""Measured rooms: read from files, cut at the direct sound, and laid on a voice without moving it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.data.augmentation.measured_rooms import LEAD_SECONDS, convolve_room, direct_first, read_rooms
from avse.errors import UsageError


def test_rooms_are_read_at_any_rate(tmp_path: Path) -> None:
    for rate in (16000, 48000):
        (tmp_path / f"room{rate}").mkdir()
        response = np.zeros((rate, 2), np.float32)
        response[rate // 4] = 0.5
        soundfile.write(tmp_path / f"room{rate}" / "one.flac", response, rate)
    rooms = read_rooms(tmp_path)
    assert list(rooms) == ["room16000", "room48000"]
    for (response,) in rooms.values():
        assert response.dtype == np.float32
        assert abs(int(np.argmax(np.abs(response))) - int(LEAD_SECONDS * 16000)) <= 1
        assert np.square(response).sum() == pytest.approx(1.0, abs=1e-4)


def test_a_folder_without_responses_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No impulse responses"):
        read_rooms(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_response_that_is_not_finite_is_reported(value: float, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    soundfile.write(tmp_path / "room" / "one.wav", np.array([0.0, value, 0.5]), 16000, "FLOAT")
    with pytest.raises(UsageError, match=r"one\.wav contains NaN"):
        read_rooms(tmp_path)


def test_the_voice_stays_in_its_place_and_length() -> None:
    rng = np.random.default_rng(0)
    voice = rng.standard_normal(16000).astype(np.float32)
    tail = rng.standard_normal(8000) * np.exp(-np.arange(8000) / 1000) * 0.05
    response = direct_first(np.concatenate([np.zeros(3000), [1.0], tail]).astype(np.float32))
    output = convolve_room(voice, response)
    assert (output.shape, output.dtype) == (voice.shape, np.float32)
    lags = range(200)
    best = max(lags, key=lambda lag: float(output[lag : 15000 + lag] @ voice[:15000]))
    assert best == int(LEAD_SECONDS * 16000)
