"""Audio players of reports: the audio inside the page, and what cannot be read."""

from __future__ import annotations

import base64
import io
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import write_recording
from report_world import write_audio

from avse.reports.audio_player import encode, make_player_tracks, time_ticks


def tone(hz: float, seconds: float, sample_rate: int = 16000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate).astype(np.float32)


def decoded(address: str) -> tuple[np.ndarray, int]:
    kind, _, data = address.partition(";base64,")
    assert kind.startswith("data:audio/")
    return soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")


@pytest.mark.parametrize("kind", ["MP3", "FLAC"])
def test_audio_in_the_page_is_that_of_the_file(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "FLAC":
        monkeypatch.setattr(soundfile, "available_formats", lambda: {"FLAC": "FLAC"})
    waveform = tone(440, 1.0)
    restored, rate = decoded(encode(waveform, 16000))
    assert (rate, len(restored)) == (16000, 16000)
    assert np.corrcoef(waveform, restored)[0, 1] > 0.999


def test_tracks_of_wav_and_video_alike(tmp_path: Path) -> None:
    recording = write_audio(tmp_path / "a.wav", 1.5)
    samples = soundfile.read(recording, dtype="float32")[0]
    video = write_recording(tmp_path / "b.mkv", samples, np.full((38, 48, 64), 99, np.uint8))
    first, second = make_player_tracks(
        [("A", recording), ("B", video)], sample_rate=16000, played_seconds=1.0, num_columns=50
    )
    assert (first.seconds, first.played_seconds) == (1.5, 1.0)
    assert (second.seconds, second.played_seconds) == (1.5, 1.0)
    assert first.spectrogram == second.spectrogram
    assert len(decoded(first.audio)[0]) == 16000


def test_rate_and_channels_of_a_file_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(440, 1.0, 44100)] * 2, 1), 44100)
    (track,) = make_player_tracks([("A", path)], sample_rate=48000, played_seconds=1.0, num_columns=50)
    assert track.seconds == pytest.approx(1.0, abs=0.001)
    assert decoded(track.audio)[1] == 48000
    assert track.peak_db == pytest.approx(-6.0, abs=0.1)


def test_what_cannot_be_read_has_a_reason_and_spoils_nothing(tmp_path: Path) -> None:
    good, text, cut = write_audio(tmp_path / "good.wav"), tmp_path / "text.wav", tmp_path / "cut.flac"
    text.write_text("This is no audio. " * 50)
    soundfile.write(cut, np.random.default_rng(0).uniform(-1, 1, 160_000), 16000)
    cut.write_bytes(cut.read_bytes()[:100_000])
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 16000)
    paths = [tmp_path / "none.wav", text, cut, empty, tmp_path, good]
    tracks = make_player_tracks([("x", path) for path in paths], sample_rate=16000, played_seconds=1.0, num_columns=50)
    assert [bool(track.problem) for track in tracks] == [True, True, True, True, True, False]
    assert "contains no audio" in tracks[3].problem
    assert tracks[5].audio


def test_long_audio_is_not_kept(tmp_path: Path) -> None:
    short, long = (write_audio(tmp_path / f"{seconds}.wav", seconds) for seconds in (20.0, 200.0))
    peaks = []
    for path in (short, long):
        tracemalloc.start()
        make_player_tracks([("A", path)], sample_rate=16000, played_seconds=1.0, num_columns=50)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_silence_is_a_track_too(tmp_path: Path) -> None:
    path = tmp_path / "silent.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    (track,) = make_player_tracks([("A", path)], sample_rate=16000, played_seconds=1.0, num_columns=50)
    assert track.problem == ""
    assert track.peak_db == -math.inf


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, ["0.0", "0.2", "0.4", "0.6", "0.8"]),
        (10.0, ["0", "2", "4", "6", "8"]),
        (100.0, ["0", "20", "40", "1:00", "1:20"]),
        (9000.0, ["0", "30:00", "1:00 h", "1:30 h", "2:00 h"]),
        (0.0, []),
    ],
)
def test_time_ticks_are_round(seconds: float, words: list[str]) -> None:
    ticks = time_ticks(seconds)
    assert [word for _, word in ticks] == words
    assert all(0 <= place < 1 for place, _ in ticks)
