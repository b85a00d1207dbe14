"""The benchmark that compares checkpoints on validation speakers: its figures where they are known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from choose import CONDITIONS, attenuation_db, enhanced, gains

from avse.config import ModelConfig
from avse.data.dataset import Batch
from avse.data.mix_config import MixConfig
from avse.data.synthetic.speech import speak
from avse.models.inputs import Inputs
from avse.models.net import Output, SpeechNet


def test_gains_of_reducing_the_noise_to_a_tenth() -> None:
    target = speak(2.0, seed=1).waveform
    noise = np.random.default_rng(0).standard_normal(len(target)).astype(np.float32) * target.std()
    pesq, stoi, si_sdr = gains(target, target + noise, target + 0.1 * noise)
    assert si_sdr == pytest.approx(20, abs=0.2)
    assert pesq > 0.1
    assert stoi > 5


def test_attenuation_is_measured_where_the_other_talker_speaks_alone() -> None:
    one, other = (speak(2.0, seed=seed).waveform for seed in (1, 2))
    one[16000:], other[:8000] = 0, 0
    mixture = one + other
    estimate = mixture.copy()
    estimate[16000:] *= 0.1
    assert attenuation_db(one, mixture, estimate) == pytest.approx(20, abs=0.01)


def test_a_net_that_changes_nothing_gives_the_mixture_back() -> None:
    class Idle(SpeechNet):
        def forward(self, inputs: Inputs) -> Output:
            return Output(inputs.spectrum, torch.ones_like(inputs.spectrum.real), None)

    mixture = torch.randn(2, 6400) * 0.03
    batch = Batch(mixture, mixture, torch.zeros(2, 10, 88, 88, dtype=torch.uint8), torch.zeros(2, 10, dtype=torch.bool))
    net = Idle(ModelConfig(fusion="none", audio_channels=(4, 4, 4, 4, 4, 4)))
    torch.testing.assert_close(enhanced(net, batch), mixture, atol=1e-5, rtol=0)


@pytest.mark.parametrize("settings", CONDITIONS.values())
def test_all_conditions_are_settings_of_mixtures(settings: dict[str, object]) -> None:
    MixConfig(**settings)  # type: ignore[arg-type]
