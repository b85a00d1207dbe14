"""Video that would remove the wrong voice is not used, and a warning reports it."""

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
from avse.enhancement.visual_reliability import MouthMotion, VisualReliability, video_weight, weight_by_reliability
from avse.models.inputs import Inputs
from avse.models.net import Output, SpeechNet


def motion(
    num_frames: int = 50, moving: slice | None = slice(None), change: float = visual_reliability.TYPICAL_CHANGE
) -> MouthMotion:
    """A visible mouth that moves in some frames, None in none."""
    flags = np.zeros(num_frames, bool)
    if moving is not None:
        flags[moving] = True
    return MouthMotion(np.full(num_frames, change, np.float32), flags, np.ones(num_frames, bool))


def spectrum_and_mask(level_db: float, num_frames: int = 101) -> tuple[Tensor, Tensor]:
    return torch.ones(20, num_frames, dtype=torch.complex64), torch.full((20, num_frames), 10 ** (level_db / 20))


def test_the_more_is_taken_away_the_less_the_video_counts() -> None:
    levels = (-2.0, visual_reliability.HALF_DB, -15.0)
    weights = [video_weight(*spectrum_and_mask(level), motion()) for level in levels]
    assert weights[0] > 0.99
    assert weights[1] == pytest.approx(0.5, abs=0.01)
    assert weights[2] < 0.01


def test_a_mouth_that_changes_little_may_take_less_away() -> None:
    weights = [video_weight(*spectrum_and_mask(-6.0), motion(change=change)) for change in (0.14, 0.07, 0.0)]
    assert weights[0] > 0.5 > weights[1] > weights[2]


def test_a_resting_mouth_is_believed_only_where_all_is_silenced() -> None:
    assert video_weight(*spectrum_and_mask(-20.0), motion(moving=None)) > 0.99
    assert video_weight(*spectrum_and_mask(-2.0), motion(moving=None)) < 0.01


def test_a_mouth_that_hardly_moves_counts_as_resting() -> None:
    hidden, seen = (motion(change=factor * visual_reliability.RESTING_CHANGE) for factor in (0.99, 1.01))
    assert video_weight(*spectrum_and_mask(-2.0), hidden) < 0.01 < 0.5 < video_weight(*spectrum_and_mask(-2.0), seen)


def test_what_is_too_short_to_judge_is_followed() -> None:
    short = motion(visual_reliability.MIN_RESTING_FRAMES - 1, moving=None)
    assert video_weight(*spectrum_and_mask(-2.0), short) == 1.0


def test_only_audio_while_the_mouth_moves_counts() -> None:
    spectrum, mask = spectrum_and_mask(-40.0)
    mask[:, :41] = 1.0
    first = motion(moving=slice(20))
    assert video_weight(spectrum, mask, first) > 0.99
    assert video_weight(spectrum, 1.01 - mask, first) < 0.01


def test_masks_that_are_no_numbers_are_left_to_the_check() -> None:
    assert video_weight(*spectrum_and_mask(float("nan")), motion()) == 1.0


def test_silence_is_no_reason_to_doubt() -> None:
    spectrum, mask = spectrum_and_mask(0.0)
    assert video_weight(spectrum * 0, mask, motion()) > 0.99


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


def mixture(num_frames: int = 50) -> np.ndarray:
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
    mask: Tensor = weight_by_reliability(net, mixture(), mouths, 0.1, compute_mask(net, mixture(), mouths, 0.1), noted)
    if is_followed is None:
        assert noted.weights == [1.0]
        assert noted.warnings == []
        assert float(mask.mean()) == pytest.approx(0.5)
    else:
        assert (noted.weights[0] > 0.99) == is_followed
        assert float(mask.mean()) == pytest.approx(0.01 if is_followed else 0.5, abs=0.01)
        assert bool(noted.warnings) != is_followed


def test_beside_other_mouths_only_the_frames_without_them_are_doubted(net: SpeechNet) -> None:
    mouths, alone, noted = moving_mouth(), np.arange(50) < 25, VisualReliability()
    before = compute_mask(net, mixture(), mouths, 0.1)
    mask = weight_by_reliability(net, mixture(), mouths, 0.1, before, noted, alone)
    assert float(mask[..., :40].mean()) == pytest.approx(0.5, abs=0.01)
    assert torch.equal(mask[..., 60:], before[..., 60:])
    assert len(noted.weights) == 1
    assert noted.weights[0] < 0.01
    never = weight_by_reliability(net, mixture(), mouths, 0.1, before, noted, alone & False)
    assert torch.equal(never, before)
    assert noted.weights[1:] == [1.0]


def test_windows_without_a_mouth_count_as_time(net: SpeechNet) -> None:
    mouths, noted = moving_mouth(), VisualReliability()
    for shown in (mouths, *[mouths * 0] * 9):
        mask = compute_mask(net, mixture(), shown, 0.1)
        weight_by_reliability(net, mixture(), shown, 0.1, mask, noted)
    assert "for 10% of the time" in noted.warnings[0]


def test_the_note_states_for_how_long() -> None:
    assert VisualReliability([1.0, 0.9]).warnings == []
    assert "for 25% of the time" in VisualReliability([1.0, 0.9, 0.8, 0.1]).warnings[0]
    assert "throughout" in VisualReliability([0.1]).warnings[0]


def test_unreliable_video_of_a_recording_is_reported(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    make_clip(clip, seconds=3.0)
    model: Enhancer = load_model(str(tiny_model), "cpu")
    monkeypatch.setattr(visual_reliability, "HALF_DB", 100.0)
    doubted = avse.enhance(clip, model=model)
    monkeypatch.setattr(visual_reliability, "HALF_DB", -100.0)
    followed = avse.enhance(clip, model=model)
    assert "the audio counted more there" in doubted.note
    assert "counted more" not in followed.note
    assert doubted.waveform is not None
    assert followed.waveform is not None
    assert not np.allclose(doubted.waveform, followed.waveform)
