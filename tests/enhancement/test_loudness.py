"""Loudness normalisation: the target is reached as far as true peaks allow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import coloured_noise, ffmpeg, write_recording

import avse
from avse.enhancement.loudness import choose_gain, measure
from avse.errors import UsageError

GREY = np.full((25, 96, 128), 128, np.uint8)


@pytest.mark.parametrize("suffix", [".wav", ".mkv"])
def test_loudness_is_reached(see_through: Path, tmp_path: Path, suffix: str) -> None:
    source = write_recording(tmp_path / "in.mkv", 0.2 * coloured_noise(32000, 2), GREY)
    output = tmp_path / f"out{suffix}"
    result = avse.enhance(source, output, model=str(see_through), loudness_lufs=-26.0)
    assert result.levels is not None
    ffmpeg("-i", output, tmp_path / "decoded.wav")
    assert measure(tmp_path / "decoded.wav")[0] == pytest.approx(-26.0, abs=0.1)
    assert "to -26.0 LUFS." in result.note
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.mkv", output.name, "decoded.wav"])


def test_peaks_hold_loudness_back(see_through: Path, tmp_path: Path) -> None:
    waveform = 0.01 * coloured_noise(32000)
    waveform[::4000] = 0.5
    source = write_recording(tmp_path / "in.wav", waveform)
    result = avse.enhance(source, tmp_path / "out.wav", model=str(see_through), loudness_lufs=-16.0)
    assert result.levels is not None
    assert result.levels.held_by_peaks
    assert "peaks" in result.note
    assert measure(tmp_path / "out.wav")[1] == pytest.approx(-1.0, abs=0.2)
    assert result.levels.after_lufs == pytest.approx(measure(tmp_path / "out.wav")[0], abs=0.1)


@pytest.mark.parametrize("num_samples", [16000, 16001, 17500, 17599])
def test_peaks_at_the_end_hold_loudness_back(see_through: Path, tmp_path: Path, num_samples: int) -> None:
    waveform = 0.04 * coloured_noise(num_samples)
    waveform[-20] = 0.9
    source = write_recording(tmp_path / "in.wav", waveform)
    result = avse.enhance(source, tmp_path / "out.wav", model=str(see_through), loudness_lufs=-16.0)
    assert result.levels is not None
    assert result.levels.held_by_peaks
    enhanced = soundfile.read(tmp_path / "out.wav")[0]
    assert 0.8 < np.abs(enhanced).max() <= 10 ** (-1 / 20) + 2**-15


def test_rounded_peaks_of_quiet_audio_never_exceed_the_ceiling(tmp_path: Path) -> None:
    for peak in (0.0014, 0.0026, 0.3):
        sine = peak * np.sin(2 * np.pi * 997 * np.arange(96000) / 48000)
        soundfile.write(tmp_path / "a.wav", sine, 48000, subtype="FLOAT")
        assert 10 ** (measure(tmp_path / "a.wav")[1] / 20) >= 0.999 * peak


def test_loudness_of_a_known_sine(tmp_path: Path) -> None:
    """A 997 Hz sine at -20 dBFS on one channel reads -23.01 LUFS (ITU-R BS.1770-4)."""
    sine = 0.1 * np.sin(2 * np.pi * 997 * np.arange(96000) / 48000)
    soundfile.write(tmp_path / "a.wav", sine, 48000, subtype="FLOAT")
    lufs, peak_db = measure(tmp_path / "a.wav")
    assert lufs == pytest.approx(-23.01, abs=0.1)
    assert peak_db == pytest.approx(-20.0, abs=0.2)


@pytest.mark.parametrize("num_channels", [3, 6, 7, 8])
def test_every_channel_without_a_place_counts(see_through: Path, tmp_path: Path, num_channels: int) -> None:
    sine = 0.1 * np.sin(2 * np.pi * 997 * np.arange(48000) / 16000)
    for channel in range(num_channels):
        waveform = np.zeros((len(sine), num_channels))
        waveform[:, channel] = sine
        soundfile.write(tmp_path / "in.wav", waveform, 16000, "FLOAT")
        result = avse.enhance(tmp_path / "in.wav", model=str(see_through), loudness_lufs=-26.0)
        assert result.levels is not None
        assert result.levels.before_lufs == pytest.approx(-22.3, abs=0.9)  # 1.5 dB more at the back


def test_low_frequency_channel_has_no_loudness(see_through: Path, tmp_path: Path) -> None:
    waveform = np.zeros((48000, 6))
    waveform[:, 3] = 0.1 * np.sin(2 * np.pi * 997 * np.arange(48000) / 16000)
    waveform[:, 0] = 0.1 * waveform[:, 3]
    soundfile.write(tmp_path / "plain.wav", waveform, 16000, "FLOAT")
    places = "channelmap=map=0|1|2|3|4|5:channel_layout=5.1"
    ffmpeg("-i", tmp_path / "plain.wav", "-af", places, "-c:a", "pcm_f32le", tmp_path / "in.wav")
    result = avse.enhance(tmp_path / "in.wav", model=str(see_through), loudness_lufs=-26.0)
    assert result.levels is not None
    assert result.levels.before_lufs == pytest.approx(-43.0, abs=0.2)


def test_silence_is_not_made_louder(see_through: Path, tmp_path: Path) -> None:
    result = avse.enhance(
        write_recording(tmp_path / "in.wav", np.zeros(16000)), model=str(see_through), loudness_lufs=-16.0
    )
    assert result.waveform is not None
    assert not result.waveform.any()
    assert "level was kept" in result.note
    assert choose_gain(-70.0, -120.0, -16.0).gain_db == 0


def test_loudness_that_makes_no_sense(see_through: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="LUFS"):
        avse.enhance(write_recording(tmp_path / "in.wav", np.zeros(1600)), model=str(see_through), loudness_lufs=3.0)
