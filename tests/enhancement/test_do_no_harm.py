"""If the video carries no information, the shipped network does no worse than audio alone, and reports it.

The recordings are made up: a talking head whose mouth is hidden, frozen, turned aside, far away or somebody else's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import avse
from avse.data.synthetic.clips import mix, write_video
from avse.data.synthetic.face import talking_head
from avse.data.synthetic.speech import speak
from avse.enhancement.enhancer import Enhancer
from avse.evaluation.metrics import score

SECONDS, SIZE = 2.4, (240, 320)
Frames = NDArray[np.uint8]


class Scene(NamedTuple):
    """A talker among another as loud: the frames as they should be, target and mixture, and the answer to the audio."""

    model: Enhancer
    frames: Frames
    target: np.ndarray
    mixture: np.ndarray
    audio_only: np.ndarray


@pytest.fixture(scope="module")
def scene() -> Scene:
    model = avse.load_model("avse", "cpu")
    speech = speak(SECONDS, 16000, 0, pitch_hz=205.0, tract_scale=1.15)
    target, mixture = mix(speech.waveform, speak(SECONDS, 16000, 7, pitch_hz=112.0).waveform, 0.0)
    frames = np.stack(list(talking_head(speech.opening, SIZE)))
    return Scene(model, frames, target, mixture, model.enhance(mixture, 16000))


def mask(frames: Frames) -> Frames:
    covered = frames.copy()
    covered[:, 144:206, 122:198] = (90, 140, 190)
    return covered


def hand(frames: Frames) -> Frames:
    covered = frames.copy()
    for index, frame in enumerate(covered):
        row, column = 151 + round(3 * np.sin(index / 5)), 122 + round(4 * np.sin(index / 7))
        frame[row : row + 48, column : column + 80] = (205, 160, 135)
    return covered


def frozen_tile(frames: Frames) -> Frames:
    """A call whose tile hangs while something else in the frame goes on."""
    still = frames[len(frames) // 2][None].repeat(len(frames), 0)
    still[:, :20, :20] = np.random.default_rng(0).integers(0, 255, (len(frames), 20, 20, 3))
    return still


def profile(frames: Frames) -> Frames:
    return resized(frames, 136, 240)


def thirty_pixels(frames: Frames) -> Frames:
    return resized(frames, 80, 60)


def wrong_face(frames: Frames) -> Frames:
    opening = speak(SECONDS, 16000, 23, pitch_hz=180.0).opening
    return np.stack(list(talking_head(opening, SIZE, seed=3)))


def resized(frames: Frames, width: int, height: int) -> Frames:
    """Frames at another size, in the middle of grey."""
    canvas = np.full_like(frames, 80)
    top, left = (SIZE[0] - height) // 2, (SIZE[1] - width) // 2
    for index, frame in enumerate(frames):
        canvas[index, top : top + height, left : left + width] = Image.fromarray(frame).resize((width, height))
    return canvas


CASES: list[Callable[[Frames], Frames]] = [mask, hand, frozen_tile, profile, thirty_pixels, wrong_face]


@pytest.mark.parametrize("spoil", CASES, ids=lambda case: case.__name__)
def test_a_video_without_information_does_no_harm(
    scene: Scene, spoil: Callable[[Frames], Frames], tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mkv"
    write_video(clip, spoil(scene.frames), scene.mixture, 16000)
    result = avse.enhance(clip, model=scene.model)
    assert result.waveform is not None
    length = len(scene.target)
    reached, audio_only = (
        score(scene.target, found[:length], 16000, ["si_sdr"]).values["si_sdr"]
        for found in (result.waveform[:, 0], scene.audio_only)
    )
    assert reached > audio_only - 0.3
    codes = {warning.code for warning in result.warnings}
    if spoil in (mask, hand, frozen_tile, profile):
        assert "unreliable_video" in codes
