"""Layouts of lossy outputs: every channel stays in its place, at full bandwidth unless it is for low tones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import ffmpeg

from avse.io import reader
from avse.io.writer import write_file

RATE, STEP_HZ = 16000, 500
LOW_TONES = {(".m4a", 6), (".m4a", 8)}
"""Where the fourth channel is taken for the low-frequency channel of 5.1 or 7.1."""


def tones(num_channels: int) -> np.ndarray:
    """Return another tone in every channel (N, C)."""
    time = np.arange(RATE) / RATE
    return np.stack([0.2 * np.sin(2 * np.pi * STEP_HZ * (2 + c) * time) for c in range(num_channels)], axis=1)


def order(path: Path, num_channels: int) -> list[int]:
    """Return whose tone each channel of a file has; -1 where it has none."""
    samples = reader.load_audio(reader.probe(path), RATE, num_channels)[: RATE // 2]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))[:, None], axis=0)) / (0.2 * len(samples) / 4)
    levels = spectrum[np.arange(2, 2 + num_channels) * STEP_HZ * len(samples) // RATE]
    return [int(np.argmax(column)) if column.max() > 0.7 else -1 for column in levels.T]


def encode(source: Path, output: Path) -> None:
    recording = reader.probe(source)
    assert recording.audio is not None
    samples = reader.load_audio(recording, RATE, recording.audio.num_channels)
    write_file(output, recording, len(samples), iter([samples]))


def with_layout(path: Path, layout: str, num_channels: int) -> Path:
    soundfile.write(path.with_suffix(".plain.wav"), tones(num_channels), RATE)
    places = "|".join(map(str, range(num_channels)))
    ffmpeg("-i", path.with_suffix(".plain.wav"), "-af", f"channelmap=map={places}:channel_layout={layout}", path)
    return path


@pytest.mark.parametrize("suffix", [".m4a", ".ogg", ".opus"])
@pytest.mark.parametrize("num_channels", range(1, 9))
def test_channels_without_places_stay_in_order(tmp_path: Path, suffix: str, num_channels: int) -> None:
    soundfile.write(tmp_path / "in.wav", tones(num_channels), RATE)
    encode(tmp_path / "in.wav", tmp_path / f"out{suffix}")
    expected = list(range(num_channels))
    if (suffix, num_channels) in LOW_TONES:
        expected[3] = -1
    assert order(tmp_path / f"out{suffix}", num_channels) == expected


@pytest.mark.parametrize(
    ("layout", "num_channels", "kept"),
    [
        ("quad", 4, "quad"), ("quad(side)", 4, "quad"), ("3.1", 4, "3.1"), ("4.1", 5, "4.1"), ("6.0", 6, "hexagonal"),
        ("5.1(side)", 6, "5.1"), ("7.0(front)", 7, "7.0"), ("octagonal", 8, "octagonal"), ("7.1(wide)", 8, "7.1(wide)"),
    ],
)  # fmt: skip
def test_layout_of_the_recording_is_kept_by_aac(tmp_path: Path, layout: str, num_channels: int, kept: str) -> None:
    encode(with_layout(tmp_path / "in.wav", layout, num_channels), tmp_path / "out.m4a")
    written = reader.probe(tmp_path / "out.m4a").audio
    assert written is not None
    assert written.layout == kept
    expected = [-1 if ".1" in layout and channel == 3 else channel for channel in range(num_channels)]
    assert order(tmp_path / "out.m4a", num_channels) == expected


@pytest.mark.parametrize(("layout", "num_channels"), [("quad", 4), ("4.0", 4), ("5.0", 5), ("7.0", 7), ("6.1", 7)])
def test_opus_keeps_the_order_of_channels_with_places(tmp_path: Path, layout: str, num_channels: int) -> None:
    encode(with_layout(tmp_path / "in.wav", layout, num_channels), tmp_path / "out.opus")
    assert order(tmp_path / "out.opus", num_channels) == list(range(num_channels))
