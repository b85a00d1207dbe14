"""Recordings that are broken in ways that are easily overlooked: each is mended, or refused in words, never garbled."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import coloured_noise, ffmpeg, video_packets, write_recording
from typer.testing import CliRunner

import avse
from avse.data.synthetic.clips import make_clip
from avse.enhancement.all_speakers import check_output_folder
from avse.errors import InputError, UsageError
from avse.evaluation.reference import compare_files, read_reference
from avse.io import reader
from avse.io.audio_files import read_audio_file
from avse.io.ffmpeg import Limits, error_line, run
from avse.io.ffmpeg_binary import find_ffmpeg
from avse.io.writer import open_audio_file
from avse_cli.main import app


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_silence(see_through: Path, tmp_path: Path, value: float) -> None:
    waveform = coloured_noise(16000)
    waveform[5000] = value
    soundfile.write(tmp_path / "in.wav", waveform, 16000, "FLOAT")
    result = avse.enhance(tmp_path / "in.wav", model=see_through)
    assert result.waveform is not None
    waveform[5000] = 0
    np.testing.assert_allclose(result.waveform, waveform, atol=1e-3)


def test_more_channels_than_flac_holds(see_through: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", coloured_noise(16000, num_channels=10), 16000)
    with pytest.raises(InputError, match="cannot hold 10 channels"):
        avse.enhance(tmp_path / "in.wav", tmp_path / "out.flac", model=see_through)
    avse.enhance(tmp_path / "in.wav", tmp_path / "out.wav", model=see_through)
    assert soundfile.info(tmp_path / "out.wav").channels == 10


@pytest.mark.parametrize(
    ("layout", "num_channels"),
    [("3.0", 3), ("quad", 4), ("5.1(side)", 6), ("6.1", 7), ("7.1(wide-side)", 8), ("FL+FR+BL", 3)],
)
def test_channels_stay_apart_wherever_they_stood(tmp_path: Path, layout: str, num_channels: int) -> None:
    """Not mixed anew for the places that ffmpeg would give as many channels."""
    waveform = 0.1 * coloured_noise(16000, num_channels)
    form = f"channelmap=map={'|'.join(map(str, range(num_channels)))}:channel_layout={layout}"
    soundfile.write(tmp_path / "plain.wav", waveform, 16000)
    ffmpeg("-i", tmp_path / "plain.wav", "-af", form, tmp_path / "in.wav")
    recording = reader.probe(tmp_path / "in.wav")
    assert recording.audio == reader.AudioStream(16000, num_channels, 0.0, layout)
    np.testing.assert_allclose(reader.load_audio(recording, 16000, num_channels), waveform, atol=1e-4)


@pytest.mark.parametrize("num_channels", [6, 8])
def test_fourth_channel_is_heard_unless_the_layout_says_that_it_has_no_speech(
    tmp_path: Path, num_channels: int
) -> None:
    waveform = np.zeros((16000, num_channels))
    waveform[:, 3] = coloured_noise(16000)[:, 0]
    soundfile.write(tmp_path / "plain.wav", waveform, 16000, "FLOAT")
    heard = {"plain": True}
    for layout in {6: ("5.1", "5.1(side)", "hexagonal"), 8: ("7.1", "octagonal")}[num_channels]:
        form = f"channelmap=map={'|'.join(map(str, range(num_channels)))}:channel_layout={layout}"
        ffmpeg("-i", tmp_path / "plain.wav", "-af", form, "-c:a", "pcm_f32le", tmp_path / f"{layout}.wav")
        heard[layout] = layout.endswith("gonal")
    for name, is_heard in heard.items():
        mono = reader.load_audio(reader.probe(tmp_path / f"{name}.wav"))[:, 0]
        np.testing.assert_allclose(mono, is_heard * waveform.mean(1), atol=1e-6)
        np.testing.assert_allclose(read_audio_file(tmp_path / f"{name}.wav"), mono, atol=1e-6)


@pytest.mark.parametrize("num_channels", [3, 4, 7])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_channels_stay_apart_under_a_video(see_through: Path, tmp_path: Path, num_channels: int, suffix: str) -> None:
    waveform = 0.1 * coloured_noise(16000, num_channels)
    recording = write_recording(tmp_path / "in.mkv", waveform, np.full((25, 64, 64), 128, np.uint8))
    avse.enhance(recording, tmp_path / f"out{suffix}", model=see_through)
    written = reader.load_audio(reader.probe(tmp_path / f"out{suffix}"), 16000, num_channels)[: len(waveform)]
    kept = [np.corrcoef(written[:, k], waveform[: len(written), k])[0, 1] for k in range(num_channels)]
    assert min(kept) > 0.9


@pytest.mark.parametrize(
    ("suffix", "sample_rate", "num_channels", "said"),
    [
        (".mkv", 16000, 10, "cannot hold 10 channels"),
        (".mp4", 192000, 1, "cannot hold audio of 192000 Hz"),
        (".mov", 37800, 1, "cannot hold audio of 37800 Hz"),
    ],
)
def test_what_would_not_fit_under_the_video_is_reported_first(
    see_through: Path, tmp_path: Path, suffix: str, sample_rate: int, num_channels: int, said: str
) -> None:
    frames = np.full((5, 64, 64), 128, np.uint8)
    waveform = coloured_noise(sample_rate // 5, num_channels)
    recording = write_recording(tmp_path / "in.mkv", waveform, frames, sample_rate=sample_rate)
    reported: list[str] = []
    with pytest.raises(InputError, match=said):
        avse.enhance(
            recording, tmp_path / f"out{suffix}", model=see_through, on_progress=lambda *a: reported.append(a[0])
        )
    assert reported == []
    assert not (tmp_path / f"out{suffix}").exists()


def test_a_video_that_breaks_off_is_reported(see_through: Path, tmp_path: Path) -> None:
    """Return a chunk of a file, which begins with its length."""
    whole = write_recording(tmp_path / "whole.mkv", coloured_noise(6 * 16000), np.full((150, 64, 64), 128, np.uint8))
    (tmp_path / "part.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "may be incomplete" not in avse.enhance(whole, model=see_through).note
    ffmpeg("-i", whole, "-c", "copy", "-output_ts_offset", "60", tmp_path / "later.mkv")
    assert "may be incomplete" not in avse.enhance(tmp_path / "later.mkv", model=see_through).note
    note = avse.enhance(tmp_path / "part.mkv", model=see_through).note
    assert re.search(r"The header gives 6.0 s, but the audio ends at [23]\.\d s; the file may be incomplete\.", note)


def test_audio_beyond_full_scale_is_reported(see_through: Path, tmp_path: Path) -> None:
    waveform = coloured_noise(16000)
    soundfile.write(tmp_path / "hot.wav", waveform * 4 / np.abs(waveform).max(), 16000, "FLOAT")
    soundfile.write(tmp_path / "full.wav", waveform / np.abs(waveform).max(), 16000, "FLOAT")
    output = tmp_path / "out.flac"  # a .wav would keep the floats
    assert "exceeds full scale by 12 dB" in avse.enhance(tmp_path / "hot.wav", output, model=see_through).note
    unclipped = [
        avse.enhance(tmp_path / "hot.wav", model=see_through),
        avse.enhance(tmp_path / "hot.wav", output, model=see_through, force=True, loudness_lufs=-23.0),
        avse.enhance(tmp_path / "full.wav", output, model=see_through, force=True),
    ]
    assert not any("full scale" in result.note for result in unclipped)


def test_parts_joined_byte_by_byte_are_refused_with_a_remedy_that_works(see_through: Path, tmp_path: Path) -> None:
    make_clip(tmp_path / "part.mkv", 6.0, size=(64, 64))
    ffmpeg("-i", tmp_path / "part.mkv", "-c:v", "copy", "-c:a", "aac", tmp_path / "part.ts")
    part = (tmp_path / "part.ts").read_bytes()
    (tmp_path / "both.ts").write_bytes(part + part)
    with pytest.raises(InputError, match="timestamps of the audio jump back") as refused:
        avse.enhance(tmp_path / "both.ts", model=see_through, use_video=False)
    mended = follow(refused.value, tmp_path / "both.ts", "REPAIRED.mkv")
    result = avse.enhance(mended, model=see_through, use_video=False)
    assert result.duration_seconds == pytest.approx(12.0, abs=0.3)


def test_hours_of_nothing_are_no_gap(see_through: Path, tmp_path: Path) -> None:
    write_recording(tmp_path / "in.mkv", coloured_noise(32000))
    late = "asetpts='if(gt(T,1),PTS+20000*SR,PTS)'"
    ffmpeg("-i", tmp_path / "in.mkv", "-af", late, "-c:a", "pcm_s16le", tmp_path / "late.mkv")
    with pytest.raises(InputError, match="jump forward"):
        avse.enhance(tmp_path / "late.mkv", model=see_through)


def test_channels_that_cancel_each_other_out(see_through: Path, tmp_path: Path) -> None:
    waveform = coloured_noise(32000)
    soundfile.write(tmp_path / "in.wav", np.concatenate([waveform, -waveform], axis=1), 32000)
    with pytest.raises(InputError, match="cancel each other out") as refused:
        avse.enhance(tmp_path / "in.wav", model=see_through)
    avse.enhance(follow(refused.value, tmp_path / "in.wav", "INVERTED.wav"), model=see_through)
    soundfile.write(tmp_path / "wide.wav", np.concatenate([waveform, -0.9 * waveform], axis=1), 32000)
    avse.enhance(tmp_path / "wide.wav", model=see_through)


def test_remedy_for_channels_that_cancel_each_other_out_keeps_the_video(see_through: Path, tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mkv", 2.0, size=(64, 64))
    plain = ("-map", "0:v", "-map", "0:a", "-c:v", "copy")
    ffmpeg(
        "-i", tmp_path / "clip.mkv", *plain, "-map", "0:a", "-filter:a:1", "pan=stereo|c0=c0|c1=-1*c0", "-c:a",
        "pcm_s16le", tmp_path / "in.mkv",
    )  # fmt: skip
    with pytest.raises(InputError, match="cancel each other out") as refused:
        avse.enhance(tmp_path / "in.mkv", model=see_through, audio_track=2, use_video=False)
    turned = follow(refused.value, tmp_path / "in.mkv", "INVERTED.mkv")
    assert video_packets(turned) == video_packets(tmp_path / "in.mkv")
    assert avse.enhance(turned, model=see_through, use_video=False).num_channels == 2


def follow(error: InputError, source: Path, name: str) -> Path:
    """Type the command of a hint in a shell, whose ffmpeg is the one in use; the file that it writes."""
    (source.parent / "ffmpeg").symlink_to(find_ffmpeg().path)
    search = {"PATH": f"{source.parent}{os.pathsep}{os.environ['PATH']}"}
    command = error.hint.rpartition(": ")[2].replace("FILE", str(source)).replace(name, str(source.with_name(name)))
    subprocess.run(
        command, shell=True, check=True, capture_output=True, stdin=subprocess.DEVNULL, env=os.environ | search
    )
    return source.with_name(name)


def test_wav_of_more_than_4_gb_reports_how_long_it_is(tmp_path: Path) -> None:
    stream = reader.AudioStream(48000, 2, 0.0)
    for num_samples, kind in ((1 << 20, b"RIFF"), (1 << 30, b"RF64")):
        with open_audio_file(tmp_path / "out.wav", stream, num_samples) as file:
            file.write(np.zeros((100, 2)))
        assert (tmp_path / "out.wav").read_bytes()[:4] == kind
        assert soundfile.info(tmp_path / "out.wav").frames == 100
        assert len(reader.load_audio(reader.probe(tmp_path / "out.wav"), 48000)) == 100
    with open_audio_file(tmp_path / "out.flac", stream, 1 << 30) as file:
        file.write(np.zeros((100, 2)))


def test_scores_are_of_the_track_that_was_enhanced(tmp_path: Path) -> None:
    noise, voice = coloured_noise(32000), coloured_noise(32000)[::-1]
    for name, waveform in (("noise", noise), ("voice", voice)):
        soundfile.write(tmp_path / f"{name}.wav", waveform, 16000)
    maps = ("-map", "0", "-map", "1", "-c:a", "pcm_s16le")
    ffmpeg("-i", tmp_path / "noise.wav", "-i", tmp_path / "voice.wav", *maps, tmp_path / "both.mkv")
    clean = read_reference(tmp_path / "voice.wav", tmp_path / "both.mkv", 2)
    before = [
        compare_files(clean, tmp_path / "both.mkv", tmp_path / "voice.wav", track)["before"]["si_sdr"]
        for track in (1, 2)
    ]
    assert before[0] < 0 < 40 < before[1]
    with pytest.raises(InputError, match="longer"):
        read_reference(tmp_path / "voice.wav", tmp_path / "both.mkv", 2, Limits(max_seconds=1.0))


def test_voices_of_faces_that_are_there_already(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    check_output_folder(tmp_path, force=False)
    (tmp_path / "face-1.wav").touch()
    with pytest.raises(UsageError, match=r"face-1\.wav already exists"):
        check_output_folder(tmp_path, force=False)
    check_output_folder(tmp_path, force=True)


@pytest.mark.parametrize("typed", [["--max-seconds", "0.5"], ["--audio-track", "2"], ["--max-megabytes", "0.001"]])
def test_faces_are_looked_for_within_the_same_limits(clip: Path, tiny_model: Path, typed: list[str]) -> None:
    shown = CliRunner().invoke(app, ["faces", str(clip), "--model", str(tiny_model), *typed])
    assert shown.exit_code in (1, 2)
    assert shown.stderr.count("\n") == 2


def test_invalid_loudness_is_reported_before_any_work(see_through: Path, tmp_path: Path) -> None:
    write_recording(tmp_path / "in.wav", coloured_noise(16000))
    reported: list[str] = []
    with pytest.raises(UsageError, match="loudness 16"):
        avse.enhance(
            tmp_path / "in.wav", model=see_through, loudness_lufs=16.0,
            on_progress=lambda stage, done, total: reported.append(stage),
        )  # fmt: skip
    assert reported == []


@pytest.mark.parametrize("typed", [["x" * 300 + ".mp4", "-o", "out.wav"], ["in.wav", "-o", "x" * 300 + ".wav"]])
def test_name_that_no_file_can_have_is_two_lines(
    typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "in.wav", coloured_noise(16000))
    shown = CliRunner().invoke(app, ["enhance", *typed])
    assert shown.exit_code == 1
    assert shown.stderr.startswith("avse: ")
    assert shown.stderr.count("\n") == 2


def test_what_is_no_file_is_reported(tmp_path: Path, see_through: Path) -> None:
    with pytest.raises(UsageError, match="is not a file"):
        avse.enhance("/dev/null", tmp_path / "out.wav", model=see_through)


def test_rate_that_is_a_whole_number_of_another_type(see_through: Path) -> None:
    waveform = coloured_noise(16000)[:, 0]
    model = avse.load_model(str(see_through))
    for rate in (16000.0, np.uint16(16000)):
        np.testing.assert_allclose(model.enhance(waveform, rate), waveform, atol=1e-3)  # type: ignore[arg-type]


def test_of_very_many_words_the_first_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avse.io.ffmpeg._MAX_OUTPUT_BYTES", 1000)
    shell = shutil.which("sh")
    assert shell
    _, words = run([shell, "-c", "echo Error: first >&2; seq 100000 >&2"], Limits(), "It failed")
    assert len(words) == 1000
    assert error_line(words) == "Error: first"


def patched(path: Path, *changes: tuple[bytes, int, str, float]) -> Path:
    """Change header fields: the tag they follow, the distance from it in bytes, their form and the new value."""
    data = bytearray(path.read_bytes())
    for tag, distance, form, value in changes:
        struct.pack_into(form, data, data.index(tag) + distance, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("width", "height"), [(0xFFFF0000, 1 << 16), (1 << 16, 9999 << 16)])
def test_pixels_of_an_impossible_shape_are_square(tmp_path: Path, width: int, height: int) -> None:
    frames = np.broadcast_to(np.arange(64, dtype=np.uint8) * 3 + 30, (5, 48, 64))
    path = write_recording(tmp_path / "a.mp4", coloured_noise(3200), frames)
    recording = reader.probe(patched(path, (b"tkhd", 80, ">I", width), (b"tkhd", 84, ">I", height)))
    assert recording.video is not None
    assert (recording.video.width, recording.video.height) == (64, 48)
    assert next(reader.read_frames(recording)).mean() > 60


@pytest.mark.parametrize(
    ("num_frames", "words"), [(25, ["The video ends at 1.0 s, the recording at 4.0 s."]), (90, [])]
)
def test_video_that_ends_early_is_reported(tmp_path: Path, num_frames: int, words: list[str]) -> None:
    frames = np.zeros((num_frames, 48, 64), np.uint8)
    recording = reader.probe(write_recording(tmp_path / "a.mkv", coloured_noise(64000), frames))
    list(reader.read_frames(recording))
    assert [notice.text for notice in recording.notices] == words


def test_frame_rate_that_makes_a_recording_endless_is_the_cause(tmp_path: Path) -> None:
    path = write_recording(
        tmp_path / "a.avi", coloured_noise(3200), np.zeros((5, 48, 64), np.uint8), "-c:v", "mjpeg", "-c:a", "pcm_s16le"
    )
    slow = patched(path, (b"avih", 8, "<I", 0), (b"strh", 28, "<I", 10**9), (b"strh", 32, "<I", 1))
    with pytest.raises(InputError, match=r"gives the video 0 frames per second\.") as caught:
        reader.probe(slow)
    assert "Extract the audio" in caught.value.hint


def test_frame_rate_that_no_video_has_explains_why_no_face_is_seen(tmp_path: Path, see_through: Path) -> None:
    grey = np.full((25, 48, 64), 128, np.uint8)
    path = write_recording(tmp_path / "a.avi", coloured_noise(16000), grey, "-c:v", "mjpeg", "-c:a", "pcm_s16le")
    fast = patched(path, (b"avih", 8, "<I", 0), (b"strh", 28, "<I", 1), (b"strh", 32, "<I", 10**9))
    assert "(its header gives 1e+09 frames per second)" in avse.enhance(fast, model=str(see_through)).note


def test_audio_that_is_damaged_in_the_middle_is_reported(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp3", coloured_noise(32000))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(data)
    recording = reader.probe(path)
    reader.load_audio(recording)
    assert [(notice.code, notice.is_loss) for notice in recording.notices] == [("damaged_audio", True)]


def test_video_whose_frames_lie_beyond_the_end_is_empty(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a.mp4", coloured_noise(16000), np.zeros((25, 48, 64), np.uint8))
    recording = reader.probe(patched(path, (b"stco", 12, ">I", 0x7FFFFF00)))
    assert recording.video_problem == "it is empty"
