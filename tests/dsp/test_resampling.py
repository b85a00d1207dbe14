"""Streaming resampling and regrouping: the block sizes do not matter, and no samples are lost."""

from __future__ import annotations

import numpy as np
import pytest

from avse.dsp.resampling import (
    LOW_FREQUENCY_CHANNEL,
    Resampler,
    downmix,
    regroup,
    resample,
    resampling_delay,
    speech_channels,
    to_model_rate,
    trim_to_length,
)


def noise(num_samples: int, num_channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, (num_samples, num_channels)).astype(np.float32)


def cut(audio: np.ndarray, size: int) -> list[np.ndarray]:
    return [audio[start : start + size] for start in range(0, len(audio), size)]


@pytest.mark.parametrize("size", [1, 7, 1000, 10_000])
@pytest.mark.parametrize("num_samples", [1, 6, 100])
def test_regrouped_blocks_hold_the_same_samples(size: int, num_samples: int) -> None:
    audio = noise(50, 2)
    blocks = list(regroup(cut(audio, size), num_samples))
    assert all(len(block) == num_samples for block in blocks[:-1])
    assert len(blocks[-1]) <= num_samples
    assert np.array_equal(np.concatenate(blocks), audio)


def test_nothing_is_regrouped_from_nothing() -> None:
    assert list(regroup([], 5)) == []


@pytest.mark.parametrize("num_samples", [0, 8, 20, 23])
def test_trimmed_or_padded_to_length(num_samples: int) -> None:
    audio = noise(20, 2)
    trimmed = np.concatenate(list(trim_to_length(cut(audio, 6), num_samples)))
    kept = min(num_samples, 20)
    assert trimmed.shape == (num_samples, 2)
    assert np.array_equal(trimmed[:kept], audio[:kept])
    assert not trimmed[kept:].any()


def test_equal_rates_leave_the_blocks_alone() -> None:
    blocks = cut(noise(30), 7)
    assert all(before is after for before, after in zip(blocks, resample(blocks, 16000, 16000), strict=True))
    assert resampling_delay(16000, 16000) == 0.0


@pytest.mark.parametrize("size", [100, 4410, 100_000])
def test_resampled_stream_does_not_depend_on_the_block_size(size: int) -> None:
    audio = noise(22050)
    whole = np.concatenate(list(resample([audio], 44100, 16000)))
    parts = np.concatenate(list(resample(cut(audio, size), 44100, 16000)))
    assert len(parts) == len(whole) == 8000
    assert np.allclose(parts, whole, atol=1e-5)


def test_resampled_tone_keeps_frequency_level_and_time() -> None:
    def tone(rate: int) -> np.ndarray:
        return np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)[:, None]

    found = np.concatenate(list(resample(cut(tone(48000), 5000), 48000, 16000)))
    assert np.abs(found - tone(16000))[200:-200].max() < 1e-3


def test_delay_covers_what_a_resampler_holds_back() -> None:
    resampler, delay = Resampler(44100, 16000, 1), resampling_delay(44100, 16000)
    num_out = sum(len(resampler.push(block)) for block in cut(noise(44100), 220))
    assert 0 < 1 - num_out / 16000 <= delay < 0.2
    assert num_out + len(resampler.flush()) == 16000


@pytest.mark.parametrize("num_channels", [6, 8])
def test_low_frequency_channel_is_left_out_of_the_mix(num_channels: int) -> None:
    block = np.zeros((5, num_channels), np.float32)
    block[:, LOW_FREQUENCY_CHANNEL] = 1.0
    assert speech_channels(block, LOW_FREQUENCY_CHANNEL).shape == (5, num_channels - 1)
    assert not next(downmix([block], LOW_FREQUENCY_CHANNEL)).any()


@pytest.mark.parametrize("num_channels", [1, 2, 3, 5, 6, 8])
def test_other_layouts_are_mixed_whole(num_channels: int) -> None:
    block = noise(10, num_channels)
    assert np.allclose(next(downmix([block]))[:, 0], block.mean(1), atol=1e-7)


def test_model_input_is_mono_at_16_khz() -> None:
    assert np.concatenate(list(to_model_rate(cut(noise(48000, 2), 999), 48000))).shape == (16000, 1)
