"""Training and use share the feature extraction: the same audio and mouths give the same inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_world import made_inputs, stirred, tiny, write_cache
from torch import Tensor

from avse import features
from avse.config import ModelConfig
from avse.data.dataset import Batch, Batches
from avse.data.mix_config import MixConfig
from avse.data.online_mixing import Mixer
from avse.data.prepared_clips import find_clips
from avse.dsp.stft import stft
from avse.enhancement.masking import compute_mask
from avse.errors import UsageError
from avse.models.inputs import Inputs
from avse.models.net import Output, SpeechNet
from avse.training.steps import prepare_batch, rms


def blank_crops(num_clips: int, num_frames: int) -> tuple[Tensor, Tensor]:
    """Return crops (B, V, 88, 88) and flags (B, V) of missing video."""
    return torch.zeros(num_clips, num_frames, 88, 88, dtype=torch.uint8), torch.zeros(num_clips, num_frames)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    """A batch as training makes it: of the clips some show a mouth all the time, one at times, some never."""
    config = MixConfig(num_frames=12, missing_video_probability=0.4)
    made = Batches(Mixer(find_clips(write_cache(tmp_path)), {}, {}, config), seed=1, batch_size=6, first=0, last=1)[0]
    shown = int(made.seen.all(1).nonzero()[0])
    made.crops[shown, 3:7] = 0
    made.seen[shown, 3:7] = False
    return made


def given_to(net: SpeechNet, waveform: Tensor, crops: Tensor, level: float) -> tuple[Inputs, Tensor]:
    """What use of the net on one clip feeds it, and the mask that it answers."""
    caught: list[tuple[Inputs, Tensor]] = []

    def keep(module: torch.nn.Module, arguments: tuple[Inputs], output: Output) -> None:
        caught.append((arguments[0], output.mask))

    handle = net.register_forward_hook(keep)
    compute_mask(net, waveform[None].numpy(), crops.numpy(), level)
    handle.remove()
    return caught[0]


@pytest.mark.parametrize("settings", [{}, {"hop": 160, "lip_side": 88}])
def test_training_and_use_feed_the_net_the_same(batch: Batch, settings: dict[str, Any]) -> None:
    net = SpeechNet(tiny(**settings)).eval()
    trained_on = prepare_batch(net, batch)
    assert 0 < trained_on.seen.mean() < 1
    assert trained_on.spectrum.abs().mean() > 0.05
    for index in range(len(batch.mixture)):
        level = float(rms(batch.mixture)[index])
        used_on, _ = given_to(net, batch.mixture[index], batch.crops[index], level)
        for of_training, of_use in zip(trained_on, used_on, strict=True):
            assert of_training.dtype == of_use.dtype
            torch.testing.assert_close(of_use[0], of_training[index], atol=1e-6, rtol=1e-6)


def test_integer_and_augmented_pixels_are_prepared_alike(batch: Batch) -> None:
    net = SpeechNet(tiny())
    as_float = Batch(batch.mixture, batch.target, batch.crops.float(), batch.seen)
    assert torch.equal(prepare_batch(net, as_float).lips, prepare_batch(net, batch).lips)


def test_a_louder_recording_gives_the_same_inputs_and_the_same_mask(batch: Batch) -> None:
    net = stirred(tiny()).eval()
    level = float(rms(batch.mixture)[0])
    quiet, quiet_mask = given_to(net, batch.mixture[0], batch.crops[0], level)
    loud, loud_mask = given_to(net, batch.mixture[0] * 8, batch.crops[0], level * 8)
    torch.testing.assert_close(loud.spectrum, quiet.spectrum)
    torch.testing.assert_close(loud_mask, quiet_mask)


def test_the_level_is_that_of_the_whole_recording() -> None:
    """A quiet part of a loud recording stays quiet."""
    part, crops, seen = torch.randn(1, 1280) * 0.01, *blank_crops(1, 2)
    inputs = features.prepare(part, crops, seen, torch.tensor([0.2]), tiny())
    torch.testing.assert_close(inputs.spectrum, stft(part * 0.5, 640, 320))


def test_silence_is_not_blown_up() -> None:
    crops, seen = blank_crops(1, 2)
    inputs = features.prepare(torch.zeros(1, 1280), crops, seen, torch.zeros(1), tiny())
    assert not inputs.spectrum.any()


@pytest.mark.parametrize("side", [44, 88])
def test_every_frame_is_standardised_by_itself(side: int) -> None:
    config = ModelConfig(lip_side=side)
    crops = (torch.rand(2, 5, 88, 88) * torch.tensor([250.0, 120.0, 60.0, 200.0, 90.0])[:, None, None]).to(torch.uint8)
    seen = torch.ones(2, 5)
    seen[0, 3] = 0
    mixture = torch.randn(2, 5 * 640)
    lips = features.prepare(mixture, crops, seen, torch.ones(2), config).lips
    assert lips.shape == (2, 5, side, side)
    assert torch.allclose(lips.mean((-2, -1)), torch.zeros(2, 5), atol=1e-4)
    assert not lips[0, 3].any()
    deviation = lips.std((-2, -1))[seen.bool()]
    assert ((deviation > 0.85) & (deviation < 1)).all()
    alone = features.prepare(mixture[:, 640:1280], crops[:, 1:2], seen[:, 1:2], torch.ones(2), config).lips
    assert torch.allclose(alone[:, 0], lips[:, 1], atol=1e-6)


def test_a_uniform_frame_becomes_nothing_rather_than_noise() -> None:
    crops = torch.full((1, 1, 88, 88), 130, dtype=torch.uint8)
    lips = features.prepare(torch.randn(1, 640), crops, torch.ones(1, 1), torch.ones(1), tiny()).lips
    assert lips.abs().max() < 1e-3


def test_no_video_is_all_zero() -> None:
    crops, seen = blank_crops(2, 3)
    inputs = features.prepare(torch.randn(2, 3 * 640), crops, seen, torch.ones(2), tiny())
    assert not inputs.lips.any()
    assert not inputs.seen.any()
    assert inputs.lips.shape == made_inputs(tiny(), num_frames=3).lips.shape


@pytest.mark.parametrize("num_samples", [1279, 1281, 640, 0])
def test_lengths_that_do_not_go_together(num_samples: int) -> None:
    crops, seen = blank_crops(1, 2)
    with pytest.raises(UsageError, match="2 video frames") as caught:
        features.prepare(torch.zeros(1, num_samples), crops, seen, torch.ones(1), tiny())
    assert "640 samples" in caught.value.hint
