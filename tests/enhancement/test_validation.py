"""What a model answers is checked before it is written: it must be finite, and not exceed full scale by far."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import coloured_noise, write_recording

from avse import load_model
from avse.dsp.levels import AudioStats
from avse.enhancement import visual_reliability
from avse.enhancement.pipeline import enhance
from avse.enhancement.validation import check_samples
from avse.errors import InputError
from avse.weights.checkpoint import load_checkpoint


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "in.wav", 0.2 * coloured_noise(16000))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mkv"])
@pytest.mark.parametrize(
    ("answer", "words"),
    [(float("nan"), "NaN or infinite"), (float("inf"), "NaN or infinite"), (40.0, "exceeds full scale")],
)
def test_masks_without_finite_audio_leave_no_file(
    answer: float, words: str, suffix: str, recording: Path, see_through: Path, clip: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    compute = visual_reliability.compute_mask
    monkeypatch.setattr(visual_reliability, "compute_mask", lambda *values: torch.full_like(compute(*values), answer))
    source, output = clip if suffix == ".mkv" else recording, tmp_path / f"out{suffix}"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError, match=words) as caught:
        enhance(source, output, model=str(see_through))
    assert len(str(caught.value).splitlines()) == 2
    assert sorted(tmp_path.iterdir()) == before


def test_weights_that_overflow_give_no_audio(recording: Path, see_through: Path) -> None:
    checkpoint = load_checkpoint(see_through)
    checkpoint.net.state_dict()["audio.encoder.0.0.weight"].fill_(3e38)
    checkpoint.net.state_dict()["audio.mask.weight"].fill_(-3e38)
    with pytest.raises(InputError, match="NaN or infinite"):
        enhance(recording, model=checkpoint)


def test_arrays_are_checked_too(see_through: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = visual_reliability.compute_mask
    monkeypatch.setattr(visual_reliability, "compute_mask", lambda *values: compute(*values) * float("nan"))
    with pytest.raises(InputError, match="NaN or infinite"):
        load_model(str(see_through), "cpu").enhance(np.full(3200, 0.1, np.float32), 16000)


def test_loud_recordings_may_stay_as_loud_as_they_were() -> None:
    check_samples(np.full((4, 2), 1.9, np.float32), 0.5)
    check_samples(np.full((4, 2), -7.0, np.float32), 7.0)
    check_samples(np.zeros((0, 2), np.float32), 0.0)
    with pytest.raises(InputError):
        check_samples(np.full((4, 2), -7.0, np.float32), AudioStats(4, 1, 0.1, peak=3.0).peak)
