"""Recordings in and out: facts, lengths to the sample, and audio and video in sync."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import (
    click_sample,
    coloured_noise,
    ffmpeg,
    flash_and_click,
    flash_frame,
    si_sdr,
    turned,
    video_packets,
    write_recording,
)

from avse.errors import InputError
from avse.io import reader, remux
from avse.io.probe import has_video

GREY = np.full((10, 48, 64), 128, np.uint8)
HUM = coloured_noise(6400)[:, 0]

DELAYS = pytest.mark.parametrize(
    "delays", [{}, {"audio_delay": 0.2}, {"video_delay": 0.2}, {"audio_delay": 0.08, "video_delay": 0.28}]
)


def first_click(delays: dict[str, float]) -> int:
    """Return the sample of a click at 0.4 s on the file's clock, counted from the start of the audio."""
    return round((0.4 - delays.get("audio_delay", 0.0)) * 16000)


def starts(path: Path) -> tuple[float, float]:
    """Return when audio and video start on the file's clock."""
    recording = reader.probe(path)
    assert recording.audio is not None
    assert recording.video is not None
    return recording.audio.start_seconds, recording.video.start_seconds


def click_seconds(path: Path) -> float:
    """When the click comes on the file's clock."""
    return starts(path)[0] + click_sample(path) / 16000


def test_facts_of_audio_and_video(tmp_path: Path) -> None:
    stereo = coloured_noise(22050, num_channels=2)
    path = write_recording(tmp_path / "a.mp4", stereo, np.tile(GREY, (5, 1, 1))[:25], sample_rate=44100, fps=50)
    recording = reader.probe(path)
    assert recording.path == path
    assert recording.duration_seconds == pytest.approx(0.5, abs=0.03)
    assert recording.audio == reader.AudioStream(44100, 2, 0.0, "stereo")
    assert recording.video == reader.VideoStream(64, 48, 0.0)


def test_audio_alone_and_video_alone(tmp_path: Path) -> None:
    audio_only = reader.probe(write_recording(tmp_path / "audio.wav", HUM))
    video_only = reader.probe(write_recording(tmp_path / "video.mp4", None, GREY))
    assert (audio_only.audio, audio_only.video) == (reader.AudioStream(16000, 1, 0.0, "mono"), None)
    assert (video_only.audio, video_only.video) == (None, reader.VideoStream(64, 48, 0.0))
    assert len(list(reader.read_frames(video_only))) == 10


def test_tracks_that_begin_later_have_a_start(tmp_path: Path) -> None:
    recording = reader.probe(write_recording(tmp_path / "a.mkv", HUM, GREY, audio_delay=0.25, video_delay=0.08))
    assert recording.audio is not None
    assert recording.video is not None
    assert recording.audio.start_seconds == pytest.approx(0.25, abs=1e-3)
    assert recording.video.start_seconds == pytest.approx(0.08, abs=1e-3)


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    still = write_recording(tmp_path / "cover.png", None, GREY[:1], "-c:v", "png", "-update", "1")
    audio_file = write_recording(tmp_path / "audio.wav", HUM)
    song = tmp_path / "song.m4a"
    tracks = ("-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic")
    ffmpeg("-i", audio_file, "-i", still, *tracks, song)
    recording = reader.probe(song)
    assert recording.video is None
    assert recording.audio is not None
    assert not has_video(shutil.copy(song, tmp_path / "song.mp4"))


def test_header_tells_whether_there_is_video(tmp_path: Path) -> None:
    """What cannot be read counts as video, and a pipe is not read."""
    assert has_video(write_recording(tmp_path / "both.mp4", HUM, GREY))
    assert not has_video(write_recording(tmp_path / "audio.mkv", HUM))
    (tmp_path / "text.mp4").write_text("no recording")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert all(has_video(tmp_path / name) for name in ("text.mp4", "pipe.mp4", "missing.mp4"))


def test_video_is_decoded_as_it_is_displayed(tmp_path: Path) -> None:
    corner = np.zeros((5, 48, 64), np.uint8)
    corner[:, :16, :16] = 255
    plain = write_recording(tmp_path / "plain.mp4", None, corner)
    sideways, wide = tmp_path / "turned.mp4", tmp_path / "wide.mp4"
    turned(plain, sideways, 90)
    ffmpeg("-i", plain, "-vf", "setsar=2", "-c:v", "libx264", wide)
    for path, (width, height), bright in [
        (sideways, (48, 64), np.s_[-14:, :14]),  # counter-clockwise: the upper left goes to the lower left
        (wide, (128, 48), np.s_[:14, :30]),
    ]:
        recording = reader.probe(path)
        frame = next(iter(reader.read_frames(recording)))
        assert recording.video is not None
        assert (recording.video.width, recording.video.height) == (width, height) == frame.shape[::-1]
        assert frame[bright].min() > 200
        assert frame.mean() < 80


def test_part_of_the_frame_and_smaller_frame(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8) * 3 + 30, (3, 48, 64))
    recording = reader.probe(write_recording(tmp_path / "a.mkv", None, ramp, "-c:v", "ffv1"))
    part = next(iter(reader.read_frames(recording, crop=(11, 7, 21, 15))))
    assert part.shape == (15, 21)
    np.testing.assert_allclose(part[0].astype(int), ramp[0, 0, 11:32], atol=2)
    assert next(iter(reader.read_frames(recording, max_side=32))).shape == (24, 32)
    assert next(iter(reader.read_frames(recording, max_side=480))).shape == (48, 64)


@pytest.mark.parametrize(("name", "sample_rate"), [("a.mkv", 44100), ("a.wav", 48000), ("a.flac", 11025)])
def test_audio_has_its_length_to_the_sample(tmp_path: Path, name: str, sample_rate: int) -> None:
    waveform = coloured_noise(12345, num_channels=2)
    recording = reader.probe(write_recording(tmp_path / name, waveform, sample_rate=sample_rate))
    decoded = reader.load_audio(recording, sample_rate, 2)
    assert decoded.shape == waveform.shape
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, waveform, atol=1 / 32768)
    blocks = list(reader.read_audio(recording, 0.1, sample_rate, 2))
    assert {len(block) for block in blocks[:-1]} == {round(0.1 * sample_rate)}
    np.testing.assert_array_equal(np.concatenate(blocks), decoded)


def test_resampled_and_mixed_down_audio_is_not_shifted(tmp_path: Path) -> None:
    times = np.arange(24000) / 48000
    left = 0.3 * np.sin(2 * np.pi * 440 * times)
    recording = reader.probe(write_recording(tmp_path / "a.wav", np.stack([left, 0.5 * left], 1), sample_rate=48000))
    mono = reader.load_audio(recording)
    assert mono.shape == (8000, 1)
    assert si_sdr(0.75 * left[::3][200:-200], mono[200:-200, 0]) > 50


@DELAYS
@pytest.mark.parametrize("fps", [25, 30, 50])
def test_video_and_audio_come_out_in_sync(tmp_path: Path, delays: dict[str, float], fps: int) -> None:
    delays = {name: round(seconds * 5) / 5 for name, seconds in delays.items()}  # whole frames at any of the rates
    path = flash_and_click(tmp_path / "a.mkv", **delays, fps=fps)  # type: ignore[arg-type]
    assert click_sample(path) == first_click(delays)
    assert flash_frame(path) == first_click(delays) // 640
    frames = list(reader.read_frames(reader.probe(path)))
    end_of_video = 1.0 + delays.get("video_delay", 0.0) - delays.get("audio_delay", 0.0)
    assert len(frames) == round(25 * end_of_video)


@DELAYS
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_replaced_audio_keeps_its_start_and_the_video_is_unchanged(
    tmp_path: Path, delays: dict[str, float], suffix: str
) -> None:
    source = flash_and_click(tmp_path / "a.mkv", **delays)
    recording = reader.probe(source)
    audio_file, output = tmp_path / "new.wav", tmp_path / f"out{suffix}"
    soundfile.write(audio_file, reader.load_audio(recording), 16000)
    remux.replace_audio(recording, audio_file, output)
    assert video_packets(output) == video_packets(source)
    assert starts(output)[1] - starts(source)[1] == pytest.approx(-min(starts(source)), abs=1e-3)
    assert click_seconds(output) - click_seconds(source) == pytest.approx(-min(starts(source)), abs=1e-3)


def test_new_audio_in_mkv_is_kept_to_the_bit(tmp_path: Path) -> None:
    source = write_recording(tmp_path / "a.mkv", HUM, GREY)
    audio_file = tmp_path / "new.wav"
    soundfile.write(audio_file, coloured_noise(6400, 2), 16000)
    remux.replace_audio(reader.probe(source), audio_file, tmp_path / "out.mkv")
    written = reader.load_audio(reader.probe(tmp_path / "out.mkv"), 16000, 2)
    np.testing.assert_array_equal(written, soundfile.read(audio_file, dtype="float32")[0])


def test_video_that_the_new_file_cannot_hold_is_named_as_the_cause(tmp_path: Path) -> None:
    recording = reader.probe(write_recording(tmp_path / "a.mkv", HUM, GREY, "-c:v", "wmv2"))
    audio_file = write_recording(tmp_path / "new.wav", HUM)
    with pytest.raises(InputError, match=r"(?s)cannot be copied into a \.mp4 file: .*\n.*\.mkv"):
        remux.replace_audio(recording, audio_file, tmp_path / "out.mp4")


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("ordinary") / "a.mkv", HUM, GREY)


NAMES = [
    "with free space",
    "'single' \"double\"",
    "-i",
    "запись 録音",
    "concat:x",
    "http:",
    "100%d",
    "$(id) `id`;",
    "a|b\\c#?",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ordinary: Path, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(f"{name}.mkv")
    shutil.copy(ordinary, tmp_path / path)
    recording = reader.probe(path)
    audio_file = Path(f"{name}.wav")
    soundfile.write(audio_file, reader.load_audio(recording), 16000)
    remux.replace_audio(recording, audio_file, Path(f"{name}.out.mkv"))
    assert len(list(reader.read_frames(reader.probe(Path(f"{name}.out.mkv"))))) == 10
    assert len(list(tmp_path.iterdir())) == 3


def test_what_is_no_recording_is_an_input_error(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("No recording at all.\n" * 50)
    for path in (text, tmp_path, tmp_path / "missing.mp4"):
        with pytest.raises(InputError, match="not a recording"):
            reader.probe(path)


def test_decoder_is_stopped_when_its_reader_leaves(tmp_path: Path) -> None:
    recording = reader.probe(write_recording(tmp_path / "a.wav", np.zeros(2_000_000)))
    blocks = reader.read_audio(recording, 0.1, 16000, 1)
    assert len(next(blocks)) == 1600
    blocks.close()  # would hang if it waited for ffmpeg to end by itself, whose pipe is full


@pytest.mark.parametrize("max_side", [32, 41, 480])
def test_small_copy_comes_with_the_frame_from_one_decoding(clip: Path, max_side: int) -> None:
    """Both to the pixel what they are by themselves."""
    recording = reader.probe(clip)
    pairs = list(reader.read_frames_with_small(recording, max_side))
    for (whole, small), alone, alone_small in zip(
        pairs, reader.read_frames(recording), reader.read_frames(recording, max_side=max_side), strict=True
    ):
        np.testing.assert_array_equal(whole.grey(), alone)
        np.testing.assert_array_equal(small, alone_small)
        assert whole.is_limited == (max_side < 320)  # what is small already is read as by itself


@pytest.mark.parametrize("limit", [1 << 24, 1000])
def test_short_audio_is_decoded_once_and_is_the_same_again(
    clip: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(reader, "KEPT_AUDIO_BYTES", limit)
    recording, starts = reader.probe(clip), []
    start = reader.stream_output
    monkeypatch.setattr(reader, "stream_output", lambda *given, **more: starts.append(given) or start(*given, **more))
    rate, num_channels = recording.audio_stream.sample_rate, recording.audio_stream.num_channels
    next(reader.read_audio(recording, 0.5, rate, num_channels))  # what is not read to its end is not kept
    first, again, other = (
        list(reader.read_audio(recording, seconds, rate, num_channels)) for seconds in (0.5, 0.5, 0.3)
    )
    assert len(starts) == (2 if limit > 1000 else 4)
    assert [len(block) for block in first] == [len(block) for block in again]
    np.testing.assert_array_equal(np.concatenate(again), np.concatenate(first))
    np.testing.assert_array_equal(np.concatenate(other), np.concatenate(first))
