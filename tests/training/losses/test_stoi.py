"""What cannot be understood of speech, beside the STOI whose loss it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pystoi import stoi
from small_world import check_silence
from torch import Tensor

from avse.data.synthetic.speech import speak
from avse.training.losses.stoi import stoi_loss


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """Two talkers (2, N), three seconds, of which the last is silent."""
    voices = [speak(3.0, seed=seed, pitch_hz=pitch).waveform for seed, pitch in ((1, 110.0), (2, 200.0))]
    spoken = torch.from_numpy(np.stack(voices))
    spoken[:, 32000:] = 0
    return spoken


def test_loss_agrees_with_stoi(speech: Tensor) -> None:
    hiss = torch.randn(speech.shape, generator=torch.Generator().manual_seed(0)) * speech.std()
    predicted, truth = [], []
    for amount in (0.03, 0.1, 0.3, 1.0, 3.0):
        for estimate in (speech + amount * hiss, speech + amount * speech.flip(0).roll(4000, 1)):
            predicted += (1 - stoi_loss(estimate, speech)).tolist()
            truth += [stoi(*(x.numpy() for x in pair), 16000) for pair in zip(speech, estimate, strict=True)]
    assert np.corrcoef(predicted, truth)[0, 1] > 0.99
    assert np.abs(np.subtract(predicted, truth)).mean() < 0.02


@pytest.mark.parametrize("gain", [0.1, 1.0, 10.0])
def test_the_same_at_any_level_is_understood(speech: Tensor, gain: float) -> None:
    assert stoi_loss(gain * speech, speech).max() < 1e-3


def test_it_shows_the_way_to_clearer_speech(speech: Tensor) -> None:
    estimate = (speech + speech.flip(0)).requires_grad_()
    before = stoi_loss(estimate, speech).sum()
    before.backward()
    step = 0.01 * speech.norm() * estimate.grad / estimate.grad.norm()
    assert stoi_loss((estimate - step).detach(), speech).sum() < before


def test_mixed_precision_changes_nothing(speech: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = stoi_loss(speech + speech.flip(0), speech)
    torch.testing.assert_close(found, stoi_loss(speech + speech.flip(0), speech))


@pytest.mark.parametrize("num_samples", [512, 5000, 48000])
def test_silence_is_no_trouble(speech: Tensor, num_samples: int) -> None:
    """A silent reference, or one too short to be understood, teaches nothing; the gradient is always finite."""
    check_silence(stoi_loss, speech[:, :num_samples], too_short=num_samples < 6000)
