"""Decibels and gains, RMS, and the statistics of audio that is read block by block."""

from __future__ import annotations

import math

import numpy as np
import pytest

from avse.dsp.levels import compute_audio_stats, db_to_gain, gain_to_db, rms, scale_to

RATE = 16000


def blocks_of(audio: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return np.split(audio, np.cumsum(sizes))


@pytest.mark.parametrize(("level_db", "gain"), [(0.0, 1.0), (20.0, 10.0), (-20.0, 0.1), (-6.0206, 0.5)])
def test_decibels_and_gains_are_inverse(level_db: float, gain: float) -> None:
    assert db_to_gain(level_db) == pytest.approx(gain, rel=1e-4)
    assert gain_to_db(gain) == pytest.approx(level_db, abs=1e-4)


def test_gain_of_silence_is_a_finite_level() -> None:
    assert gain_to_db(0.0) == -120.0


def test_decibels_of_arrays() -> None:
    assert db_to_gain(np.array([0.0, 40.0])) == pytest.approx([1.0, 100.0])


def test_rms_of_a_sine_and_of_no_samples() -> None:
    sine = 0.5 * np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    assert rms(sine) == pytest.approx(0.5 / math.sqrt(2), rel=1e-6)
    assert rms(np.zeros(0, np.float32)) == 0.0


@pytest.mark.parametrize("level_db", [-40.0, -3.0, 12.0])
def test_scaled_audio_has_the_requested_level(level_db: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.03, 4000)
    scaled = scale_to(noise, level_db)
    assert scaled.dtype == np.float32
    assert gain_to_db(rms(scaled)) == pytest.approx(level_db, abs=1e-3)


def test_scaled_silence_stays_silent() -> None:
    assert not scale_to(np.zeros(100, np.float32), 0.0).any()


@pytest.mark.parametrize("sizes", [[], [1, 159, 5000], [4000] * 3])
def test_stats_do_not_depend_on_the_block_sizes(sizes: list[int]) -> None:
    audio = np.random.default_rng(1).normal(0, 0.1, (RATE, 2)).astype(np.float32)
    stats = compute_audio_stats(blocks_of(audio, sizes), RATE)
    assert (stats.num_samples, stats.num_frames, stats.cancels) == (RATE, 25, False)
    assert stats.rms == pytest.approx(rms(audio.mean(1)), rel=1e-5)
    assert stats.peak == pytest.approx(float(np.abs(audio).max()))


@pytest.mark.parametrize(("num_samples", "num_frames"), [(0, 0), (1, 1), (640, 1), (641, 2)])
def test_an_incomplete_video_frame_counts(num_samples: int, num_frames: int) -> None:
    assert compute_audio_stats([np.zeros((num_samples, 1), np.float32)], RATE).num_frames == num_frames


@pytest.mark.parametrize(("right", "cancels"), [(-1.0, True), (-0.9, False), (1.0, False), (0.0, False)])
def test_channels_of_opposite_phase_cancel(right: float, cancels: bool) -> None:
    left = np.random.default_rng(2).normal(0, 0.1, 4000).astype(np.float32)
    assert compute_audio_stats([np.stack([left, right * left], 1)], RATE).cancels is cancels


def test_silence_does_not_count_as_cancelled() -> None:
    assert not compute_audio_stats([np.zeros((4000, 2), np.float32)], RATE).cancels
