"""The disturbance of speech, beside the PESQ whose loss it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pesq import pesq
from small_world import check_silence
from torch import Tensor

from avse.data.synthetic.speech import speak
from avse.training.losses.pesq import pesq_loss


@pytest.fixture(scope="module")
def speech() -> Tensor:
    """Two talkers (2, N), three seconds."""
    voices = [speak(3.0, seed=seed, pitch_hz=pitch).waveform for seed, pitch in ((1, 110.0), (2, 200.0))]
    return torch.from_numpy(np.stack(voices))


def damaged(speech: Tensor) -> list[Tensor]:
    """Return degradations from slight to severe: another voice, hiss, quiet parts removed, a low-pass filter."""
    hiss = torch.randn(speech.shape, generator=torch.Generator().manual_seed(0)) * speech.std()
    dull = torch.nn.functional.avg_pool1d(speech, 5, stride=1, padding=2)
    found = [torch.lerp(speech, dull, 0.5), dull]
    for amount in (0.03, 0.1, 0.3, 1.0):
        gated = speech.sign() * (speech.abs() - amount * speech.std()).clamp_min(0)
        found += [speech + amount * speech.flip(0), speech + amount * hiss, gated]
    return found


def test_loss_agrees_with_pesq(speech: Tensor) -> None:
    """P.862.2 maps the raw score, 4.5 less the disturbance, to an opinion."""
    predicted, truth = [], []
    for estimate in damaged(speech):
        raw = 4.5 - pesq_loss(estimate, speech)
        predicted += (0.999 + 4 / (1 + torch.exp(3.8224 - 1.3669 * raw))).tolist()
        truth += [pesq(16000, *(x.numpy() for x in pair), "wb") for pair in zip(speech, estimate, strict=True)]
    assert np.corrcoef(predicted, truth)[0, 1] > 0.98
    assert np.abs(np.subtract(predicted, truth)).mean() < 0.2


@pytest.mark.parametrize("gain", [0.1, 1.0, 10.0])
def test_the_same_at_any_level_is_not_wrong(speech: Tensor, gain: float) -> None:
    assert pesq_loss(gain * speech, speech).max() < 1e-2


def test_it_shows_the_way_to_better_speech(speech: Tensor) -> None:
    estimate = (speech + 0.3 * speech.flip(0)).requires_grad_()
    before = pesq_loss(estimate, speech).sum()
    before.backward()
    step = 0.1 * speech.norm() * estimate.grad / estimate.grad.norm()
    assert pesq_loss((estimate - 0.1 * step).detach(), speech).sum() < before


def test_mixed_precision_changes_nothing(speech: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = pesq_loss(speech + 0.3 * speech.flip(0), speech)
    torch.testing.assert_close(found, pesq_loss(speech + 0.3 * speech.flip(0), speech))


@pytest.mark.parametrize("num_samples", [512, 5000, 48000])
def test_silence_is_no_trouble(speech: Tensor, num_samples: int) -> None:
    """A silent reference teaches nothing, a silent estimate is as wrong as can be; the gradient is always finite."""
    check_silence(pesq_loss, speech[:, :num_samples])
