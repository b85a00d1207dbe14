"""A picture that would take the wrong voice away is not followed, and that is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import avse
from avse.data.synthetic.clips import make_clip
from avse.enhancement import visual_reliability
from avse.enhancement.enhancer import Enhancer, load_model
from avse.enhancement.masking import compute_mask
from avse.enhancement.visual_reliability import VisualReliability, guard_mask, video_weight
from avse.models.inputs import Inputs
from avse.models.net import Output, SpeechNet


def test_the_more_is_taken_away_the_less_the_picture_counts() -> None:
    spectrum = torch.ones(20, 51, dtype=torch.complex64)
    speaking = np.ones(25, bool)
    weights = [video_weight(spectrum, torch.full((20, 51), 10 ** (db / 20)), speaking) for db in (-2, -7.3, -15)]
    assert weights[0] > 0.99
    assert weights[1] == pytest.approx(0.5, abs=0.01)
    assert weights[2] < 0.01


def test_a_mouth_at_rest_may_silence_everything() -> None:
    spectrum, mask = torch.ones(20, 51, dtype=torch.complex64), torch.full((20, 51), 0.01)
    assert video_weight(spectrum, mask, np.zeros(25, bool)) == 1.0


def test_only_what_is_heard_while_the_mouth_moves_counts() -> None:
    spectrum, mask = torch.ones(20, 51, dtype=torch.complex64), torch.full((20, 51), 0.01)
    mask[:, :31] = 1.0
    first = np.arange(25) < 15
    assert video_weight(spectrum, mask, first) > 0.99
    assert video_weight(spectrum, 1.01 - mask, first) < 0.01


def test_masks_that_are_no_numbers_are_left_to_the_check() -> None:
    spectrum = torch.ones(20, 51, dtype=torch.complex64)
    assert video_weight(spectrum, torch.full((20, 51), float("nan")), np.ones(25, bool)) == 1.0


def test_silence_is_no_reason_to_doubt() -> None:
    weight = video_weight(torch.zeros(20, 51, dtype=torch.complex64), torch.ones(20, 51), np.ones(25, bool))
    assert weight > 0.99


class TakesAway(SpeechNet):
    """A net that with lips leaves a hundredth, and half of all without."""

    def forward(self, inputs: Inputs) -> Output:
        share = 0.01 if bool(inputs.seen.any()) else 0.5
        mask = torch.full(inputs.spectrum.shape, share)
        return Output(inputs.spectrum * mask, mask, None)


def moving_mouth(num_frames: int = 50) -> np.ndarray:
    rng = np.random.default_rng(0)
    opening = rng.integers(2, 25, num_frames)
    rows = np.abs(np.arange(88) - 50)[:, None] * np.ones(88)
    return (60 + 120 * (rows < opening[:, None, None])).astype(np.uint8)


@pytest.fixture
def net(tiny_model: Path) -> SpeechNet:
    return TakesAway(load_model(str(tiny_model), "cpu").net.config).eval()


def heard(num_frames: int = 50) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, 640 * num_frames)).astype(np.float32) * 0.1


@pytest.mark.parametrize(
    ("case", "is_followed"),
    [("moving", False), ("resting", True), ("unseen", None)],
)
def test_what_the_net_is_asked(net: SpeechNet, case: str, is_followed: bool | None) -> None:
    mouths = moving_mouth()
    if case == "resting":
        mouths = mouths[:1].repeat(50, 0)
    if case == "unseen":
        mouths = mouths * 0
    noted = VisualReliability()
    mask: Tensor = guard_mask(net, heard(), mouths, 0.1, compute_mask(net, heard(), mouths, 0.1), noted)
    if is_followed is None:
        assert noted.weights == []
        assert noted.warnings == []
        assert float(mask.mean()) == pytest.approx(0.5)
    else:
        assert (noted.weights[0] > 0.99) == is_followed
        assert float(mask.mean()) == pytest.approx(0.01 if is_followed else 0.5, abs=0.01)
        assert bool(noted.warnings) != is_followed


def test_the_note_says_for_how_long() -> None:
    assert VisualReliability([1.0, 0.9]).warnings == []
    assert "for 25% of the time" in VisualReliability([1.0, 0.9, 0.8, 0.1]).warnings[0]
    assert "throughout" in VisualReliability([0.1]).warnings[0]


def test_a_recording_is_guarded_and_says_so(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, seconds=3.0)
    model: Enhancer = load_model(str(tiny_model), "cpu")
    monkeypatch.setattr(visual_reliability, "HALF_DB", 100.0)
    doubted = avse.enhance(clip, model=model)
    monkeypatch.setattr(visual_reliability, "HALF_DB", -100.0)
    followed = avse.enhance(clip, model=model)
    assert "the sound alone counted more there" in doubted.note
    assert "counted more" not in followed.note
    assert doubted.waveform is not None
    assert followed.waveform is not None
    assert not np.allclose(doubted.waveform, followed.waveform)
