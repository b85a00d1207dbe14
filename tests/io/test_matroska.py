"""Audio with gaps on the file's clock: they are filled with silence, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import coloured_noise, ffmpeg, write_recording

import avse
from avse.dsp import resampling
from avse.io import audio_files, reader

RATE = 48000
CLICKS = (0.5, 1.5, 3.5, 4.5)
"""When they come, in seconds; the audio is away from 2 to 3."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write clicks in low noise and dark video, 5 s."""
    waveform = 0.02 * coloured_noise(5 * RATE)
    for seconds in CLICKS:
        waveform[round(seconds * RATE) : round(seconds * RATE) + 24] = 0.9
    frames = np.zeros((125, 48, 64), np.uint8)
    return write_recording(tmp_path_factory.mktemp("whole") / "whole.mkv", waveform, frames, sample_rate=RATE)


def with_times(source: Path, path: Path, chain: str, *codec: str) -> Path:
    """Write a copy whose audio went through these bitstream filters, which change its timestamps."""
    ffmpeg("-i", source, "-c:v", "copy", "-af", chain, *(codec or ("-c:a", "pcm_s16le")), path)
    return path


def waveform_of(path: Path) -> np.ndarray:
    return reader.load_audio(reader.probe(path), RATE)[:, 0]


def click_seconds(waveform: np.ndarray) -> np.ndarray:
    loud = np.flatnonzero(np.abs(waveform) > 0.4)
    return loud[np.diff(loud, prepend=-RATE) > RATE / 10] / RATE


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "pcm_s16le"), ("mkv", "libopus"), ("ts", "aac"), ("flv", "aac")])
def test_lost_audio_is_silence_and_what_follows_keeps_its_place(
    whole: Path, tmp_path: Path, suffix: str, codec: str
) -> None:
    options = ("-c:a", codec, *(("-ar", "44100") if suffix == "flv" else ()))
    complete, lossy = tmp_path / f"complete.{suffix}", tmp_path / f"lossy.{suffix}"
    with_times(whole, complete, "anull", *options)
    with_times(whole, lossy, "aselect='not(between(t,2,3))'", *options)
    expected, waveform = waveform_of(complete), waveform_of(lossy)
    assert len(waveform) == pytest.approx(len(expected), abs=1100)  # the last frame of a codec
    np.testing.assert_allclose(click_seconds(waveform), click_seconds(expected), atol=1e-3)
    assert not waveform[round(2.2 * RATE) : round(2.8 * RATE)].any()


def test_many_small_losses_count_together(whole: Path, tmp_path: Path) -> None:
    lossy = with_times(whole, tmp_path / "lossy.mkv", "asetnsamples=960,aselect='not(eq(mod(n,10),9))'")
    waveform = waveform_of(lossy)
    assert len(waveform) == pytest.approx(5 * RATE, abs=0.13 * RATE)
    found = click_seconds(waveform)
    assert np.abs(found[:, None] - CLICKS).min(1).max() < 0.13


@pytest.mark.parametrize("chain", ["asetpts='PTS+0.04/TB*mod(N,2)'", "asetpts='PTS-0.5/TB*gt(T,2)'"])
def test_times_that_tremble_or_go_back_change_no_sample(whole: Path, tmp_path: Path, chain: str) -> None:
    np.testing.assert_array_equal(waveform_of(with_times(whole, tmp_path / "a.mkv", chain)), waveform_of(whole))


def test_very_long_loss_is_reported_block_by_block(whole: Path, tmp_path: Path) -> None:
    lossy = with_times(whole, tmp_path / "lossy.mkv", "asetpts='PTS+1200/TB*gt(T,2.5)'")
    lengths = [len(block) for block in reader.read_audio(reader.probe(lossy), 4.0, RATE, 1)]
    assert set(lengths[:-1]) == {4 * RATE}
    assert sum(lengths) == pytest.approx(1205 * RATE, abs=RATE / 1000)


def test_enhanced_audio_has_the_same_gap(whole: Path, see_through: Path, tmp_path: Path) -> None:
    lossy = with_times(whole, tmp_path / "lossy.mkv", "aselect='not(between(t,2,3))'")
    avse.enhance(lossy, tmp_path / "out.mkv", model=str(see_through))
    np.testing.assert_allclose(click_seconds(waveform_of(tmp_path / "out.mkv")), CLICKS, atol=1e-3)


@pytest.mark.parametrize("sample_rate", [16000, 44100])
def test_same_voice_in_both_channels_is_as_loud_as_in_one(tmp_path: Path, sample_rate: int) -> None:
    voice = coloured_noise(sample_rate)
    for suffix in ("wav", "mkv"):
        mono = reader.probe(write_recording(tmp_path / f"mono.{suffix}", voice, sample_rate=sample_rate))
        both = write_recording(tmp_path / f"both.{suffix}", voice.repeat(2, 1), sample_rate=sample_rate)
        np.testing.assert_allclose(reader.load_audio(reader.probe(both)), reader.load_audio(mono), atol=1e-4)
        np.testing.assert_allclose(audio_files.read_audio_file(both), reader.load_audio(mono)[:, 0], atol=1e-4)


def test_one_channel_is_the_input_of_the_net(tmp_path: Path) -> None:
    stage = coloured_noise(44100, 6)
    recording = reader.probe(write_recording(tmp_path / "a.wav", stage, sample_rate=44100))
    audio, blocks = recording.audio_stream, reader.read_audio(recording, 4.0, 44100, 6)
    whole = np.concatenate(list(resampling.to_model_rate(blocks, 44100, audio.low_frequency)))
    np.testing.assert_array_equal(reader.load_audio(recording), whole)
