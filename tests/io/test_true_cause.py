"""Unusable tracks differ from missing ones; clocks that wrap, frames that change size, absurd headers."""

from __future__ import annotations

import signal
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import click_sample, coloured_noise, ffmpeg, flash_and_click, flash_frame, turned, write_recording

import avse
from avse.errors import InputError, MissingError
from avse.io import reader
from avse.io.disk import SPACE_HINT
from avse.io.ffmpeg_binary import find_ffmpeg
from avse.io.ffmpeg_errors import explain
from avse.io.limits import Limits

HUM = coloured_noise(16000)
RAMP = np.broadcast_to(np.arange(64, dtype=np.uint8) * 3 + 30, (25, 48, 64))


@pytest.fixture
def video_file(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "video_file.mp4", HUM, RAMP, "-c:a", "aac")


def rename_codec(path: Path, old: bytes, new: bytes) -> Path:
    """Give a track a codec that nobody knows."""
    data = path.read_bytes()
    place = data.index(old, data.index(b"stsd"))
    path.write_bytes(data[:place] + new + data[place + 4 :])
    return path


def test_video_without_a_decoder_is_no_absent_video(video_file: Path, tmp_path: Path, see_through: Path) -> None:
    path = rename_codec(video_file, b"avc1", b"xvc1")
    recording = reader.probe(path)
    assert recording.video is None
    assert "xvc1" in recording.video_problem
    result = avse.enhance(path, model=str(see_through))
    assert "The video cannot be decoded" in result.note
    assert "no video;" not in result.note
    assert "video_not_decoded" in [code for code, _ in result.warnings]
    with pytest.raises(InputError, match=r"video of .* cannot be decoded") as error:
        avse.enhance(path, tmp_path / "out.mp4", model=str(see_through))
    assert "audio file" in error.value.hint


def test_audio_without_a_decoder_is_no_absent_audio(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.wav", HUM)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, data.index(b"fmt ") + 8, 0x9999)
    path.write_bytes(data)
    recording = reader.probe(path)
    assert recording.audio is None
    with pytest.raises(InputError, match=r"audio of .* cannot be decoded: .*no decoder"):
        reader.load_audio(recording)


def test_the_problem_is_that_of_the_track_in_use(tmp_path: Path) -> None:
    path, audio_file = tmp_path / "two.mkv", write_recording(tmp_path / "a.wav", HUM)
    ffmpeg("-i", audio_file, "-map", "0:a", "-map", "0:a", "-c:a:0", "flac", "-c:a:1", "pcm_s16le", path)
    path.write_bytes(path.read_bytes().replace(b"A_PCM/INT/LIT", b"A_XYZ/INT/LIT"))
    recording = reader.probe(path, 2)
    with pytest.raises(InputError, match="no decoder for it: none") as caught:
        reader.load_audio(recording)
    assert "--audio-track" in caught.value.hint


@pytest.mark.parametrize(("channels", "said"), [(0, "header gives 0 channels"), (65535, "header gives 65535 channels")])
def test_a_number_of_channels_that_no_decoder_takes_is_named(tmp_path: Path, channels: int, said: str) -> None:
    path = write_recording(tmp_path / "a.wav", HUM)
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, data.index(b"fmt ") + 10, channels)
    path.write_bytes(data)
    with pytest.raises(InputError, match=said):
        reader.load_audio(reader.probe(path))


def test_an_empty_only_track_is_neither_to_be_converted_nor_exchanged(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.wav", HUM)
    header = path.read_bytes().partition(b"data")[0]
    path.write_bytes(header + b"data\0\0\0\0")
    with pytest.raises(InputError, match="it is empty") as caught:
        reader.load_audio(reader.probe(path))
    assert caught.value.hint == "Copy or download it again."


def test_video_beyond_the_limit_is_no_absent_video(video_file: Path) -> None:
    recording = reader.probe(video_file, limits=Limits(max_pixels=1000))
    assert recording.video is None
    assert "more than 1000 pixels" in recording.video_problem


def test_absent_tracks_have_no_problem(tmp_path: Path) -> None:
    audio_only = reader.probe(write_recording(tmp_path / "a.wav", HUM))
    silent = reader.probe(write_recording(tmp_path / "b.mp4", None, RAMP))
    assert (audio_only.video, audio_only.video_problem) == (None, "")
    assert (silent.audio, silent.audio_problem) == (None, "")
    with pytest.raises(InputError, match="has no audio track"):
        reader.load_audio(silent)


def test_audio_file_that_was_cut_short_is_reported(tmp_path: Path, see_through: Path) -> None:
    for name, word in (("whole.wav", "truncated"), ("whole.flac", "may be incomplete")):
        soundfile.write(tmp_path / name, coloured_noise(80000), 16000)
        data = (tmp_path / name).read_bytes()
        cut = tmp_path / f"cut{Path(name).suffix}"
        cut.write_bytes(data[: len(data) // 2])
        assert word in avse.enhance(cut, model=str(see_through)).note, name
        assert word not in avse.enhance(tmp_path / name, model=str(see_through)).note


@pytest.mark.parametrize(("rate", "channels"), [(2_000_000_000, 1), (10, 1), (1, 1), (48000, 200)])
def test_absurd_rates_and_channels_are_refused(tmp_path: Path, rate: int, channels: int) -> None:
    path = write_recording(tmp_path / "a.wav", HUM)
    data = bytearray(path.read_bytes())
    place = data.index(b"fmt ") + 8
    struct.pack_into("<HHIIH", data, place, 1, channels, rate, min(2 * channels * rate, 2**32 - 1), 2 * channels)
    path.write_bytes(data)
    with pytest.raises(InputError, match=f"gives {rate} Hz and {channels} channel"):
        reader.probe(path, limits=Limits(max_seconds=100))  # at 1 Hz it claims to be longer, which is not the cause


def test_length_counts_as_it_comes_out(video_file: Path) -> None:
    """Whatever the file claims."""
    recording = replace(reader.probe(video_file), limits=Limits(max_seconds=0.5))
    with pytest.raises(InputError, match=r"longer than 0\.5 s"):
        reader.load_audio(recording)
    with pytest.raises(InputError, match=r"longer than 0\.5 s"):
        list(reader.read_frames(recording))


@pytest.mark.parametrize("offset", [95442.5, 95443.5])
def test_clock_that_wraps_shifts_nothing(tmp_path: Path, offset: float) -> None:
    """The clock of .ts has 33 bits at 90 kHz: 95443.7 s."""
    codecs = ("-c:v", "mpeg2video", "-c:a", "mp2", "-ar", "48000", "-muxdelay", "0", "-muxpreload", "0")
    source = flash_and_click(tmp_path / "a.mkv", seconds=2.0, start=1.0)
    for name, shift in (("plain.ts", 10.0), ("wraps.ts", offset)):
        ffmpeg("-i", source, *codecs, "-output_ts_offset", str(shift), tmp_path / name)
    plain, wraps = reader.probe(tmp_path / "plain.ts"), reader.probe(tmp_path / "wraps.ts")
    assert plain.audio
    assert plain.video
    assert wraps.audio
    assert wraps.video
    delays = [recording.video.start_seconds - recording.audio.start_seconds for recording in (plain, wraps)]  # type: ignore[union-attr]
    assert delays[0] == pytest.approx(delays[1], abs=2e-3)
    assert flash_frame(wraps.path) == flash_frame(plain.path)
    assert click_sample(wraps.path) == click_sample(plain.path)


def joined(folder: Path, second: np.ndarray, degrees: int = 0) -> Path:
    """One second of a ramp, and then other frames in the same track, which may be marked as turned."""
    turn = ("-bsf:v", f"h264_metadata=display_orientation=insert:rotate={degrees}") if degrees else ()
    for name, frames, options in (("1.h264", RAMP, ()), ("2.h264", second, turn)):
        write_recording(folder / name, None, frames, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "1", *options)
    (folder / "both.h264").write_bytes((folder / "1.h264").read_bytes() + (folder / "2.h264").read_bytes())
    ffmpeg("-framerate", "25", "-i", folder / "both.h264", "-c", "copy", folder / "both.mkv")
    return folder / "both.mkv"


@pytest.mark.parametrize("degrees", [0, 90, 180])
def test_frames_that_change_their_size_keep_their_shape_and_time(tmp_path: Path, degrees: int) -> None:
    """Tall video in a wide frame has borders and is not squeezed, whichever way it is rotated."""
    second = np.full((25, 96, 48), 200, np.uint8)
    second[10] = 90
    ffmpeg("-i", joined(tmp_path, second), "-c", "copy", tmp_path / "both.mp4")
    source = turned(tmp_path / "both.mp4", tmp_path / "turned.mp4", degrees) if degrees else tmp_path / "both.mp4"
    recording = reader.probe(source)
    frames = [np.rot90(frame, -degrees // 90) for frame in reader.read_frames(recording)]
    assert len(frames) == 50
    assert {frame.shape for frame in frames} == {(48, 64)}
    assert frames[40][:, :15].max() < 40
    assert frames[40][:, 25:40].min() > 180
    dark = [number for number, frame in enumerate(frames[25:], 25) if frame[:, 25:40].mean() < 120]
    assert dark == [35]
    assert [notice.code for notice in recording.notices] == ["video_changes_size"]


def test_frames_that_turn_midway_keep_their_time_and_stand_upright(tmp_path: Path) -> None:
    second = np.array(RAMP)
    second[10] = 255
    frames = np.stack(list(reader.read_frames(reader.probe(joined(tmp_path, second, 180))))).astype(float)
    assert len(frames) == 50
    assert int(np.argmax(frames.mean((1, 2)))) == 35
    if find_ffmpeg().source == "bundled":  # older ones turn those frames alone that bear the mark
        np.testing.assert_allclose(frames[40], frames[5, ::-1, ::-1], atol=6)


def test_frames_of_one_size_have_no_notice(tmp_path: Path) -> None:
    recording = reader.probe(joined(tmp_path, RAMP))
    frames = list(reader.read_frames(recording))
    assert recording.notices == []
    np.testing.assert_allclose(frames[30].astype(int), frames[5].astype(int), atol=6)


def test_a_limit_on_the_size_of_files_is_no_fault_of_the_recording() -> None:
    """As ``ulimit -f`` sets it: ffmpeg ends by a signal, without a word."""
    error = explain("", "It cannot be written", "", -signal.SIGXFSZ)
    assert isinstance(error, MissingError)
    assert str(error) == f"It cannot be written: File too large\n{SPACE_HINT}"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 48), (64, 2), (8, 8), (9, 200)])
def test_video_of_very_few_pixels_loses_no_audio(width: int, height: int, tmp_path: Path) -> None:
    frames = np.full((5, height, width), 99, np.uint8)
    path = write_recording(tmp_path / "a.mkv", HUM[:3200], frames, "-c:v", "png", "-c:a", "flac")
    recording = reader.probe(path)
    assert len(reader.load_audio(recording)) == 3200
    if min(width, height) < 8:
        assert recording.video is None
        assert "too small" in recording.video_problem
    else:
        assert len(list(reader.read_frames(recording))) == 5
