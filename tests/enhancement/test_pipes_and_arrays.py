"""Audio and video from memory, standard input and to standard output; strength; being stopped."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from recordings import coloured_noise, si_sdr, write_recording
from typer.testing import CliRunner

import avse
from avse.errors import AvseError, InputError, UsageError
from avse.io import reader
from avse.io.ffmpeg import Limits
from avse.io.frames import shown_frames
from avse.io.writer import wav_header
from avse_cli.main import app

AVSE = Path(sys.executable).with_name("avse")
GREY = np.full((25, 96, 128), 128, np.uint8)


@pytest.fixture(scope="module")
def arrays(clip: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return audio (N, 1) and grey frames (V, H, W) of the talking head."""
    recording = reader.probe(clip)
    return reader.load_audio(recording), np.stack(list(reader.read_frames(recording)))


# Arrays and tensors -------------------------------------------------------------------------------------------------


def test_arrays_give_what_the_file_gives(clip: Path, arrays: tuple[np.ndarray, np.ndarray], tiny_model: Path) -> None:
    model = avse.load_model(str(tiny_model), "cpu")
    result = avse.enhance(clip, model=model)
    assert result.num_faces == 1
    assert result.waveform is not None
    waveform, frames = arrays
    np.testing.assert_array_equal(model.enhance(waveform, 16000, frames, 25), result.waveform)
    assert np.abs(model.enhance(waveform, 16000) - result.waveform).max() > 4e-4  # the video matters


def test_kind_and_shape_come_back(arrays: tuple[np.ndarray, np.ndarray], tiny_model: Path) -> None:
    model = avse.load_model(str(tiny_model), "cpu")
    waveform, frames = arrays
    plain = model.enhance(waveform, 16000, frames, 25)
    flat = model.enhance(waveform[:, 0].astype(np.float64), 16000, frames, 25)
    assert (flat.shape, flat.dtype) == ((20480,), np.float64)
    np.testing.assert_array_equal(flat, plain[:, 0])
    tensor = model.enhance(torch.from_numpy(waveform), 16000, torch.from_numpy(frames), 25)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), plain)
    in_colour = np.repeat(frames[..., None], 3, axis=-1)
    np.testing.assert_array_equal(model.enhance(waveform, 16000, in_colour, 25), plain)


def test_stereo_at_its_own_rate_and_frames_at_theirs(see_through: Path) -> None:
    waveform = coloured_noise(48000, 2)
    output = avse.load_model(str(see_through), "cpu").enhance(waveform, 48000, np.full((60, 48, 64), 9, np.uint8), 60)
    np.testing.assert_allclose(output, waveform, atol=1e-4)


@pytest.mark.parametrize("fps", [15, 24, 25, 29.97, 50, 60])
def test_frames_are_chosen_as_ffmpeg_chooses_them(tmp_path: Path, fps: float) -> None:
    levels = np.arange(40) * 5 + 20
    frames = np.broadcast_to(levels[:, None, None], (40, 48, 64))
    path = write_recording(tmp_path / "a.mkv", None, frames, "-c:v", "ffv1", "-pix_fmt", "gray", fps=fps)  # type: ignore[arg-type]
    shown = [int(frame.mean().round()) for frame in reader.read_frames(reader.probe(path))]
    expected = levels[shown_frames(40, fps)].tolist()
    assert abs(len(shown) - len(expected)) <= 1
    differ = sum(a != b for a, b in zip(shown, expected, strict=False))
    assert differ <= len(shown) / 10  # mkv keeps whole milliseconds: a frame on the edge may fall to either side


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.zeros((200, 16000), np.float32), 16000), "ambiguous"),
        ((np.zeros(1600, np.int8), 16000), "floats"),
        ((np.full(1600, np.nan), 16000), "NaN"),
        ((np.zeros(1600), 0), "sample rate"),
        ((np.zeros(1600), 16000, GREY), "fps"),
        ((np.zeros(1600), 16000, GREY.astype(float), 25), "uint8"),
        ((np.zeros(1600), 16000, GREY[0], 25), "grey"),
    ],
)
def test_arrays_that_make_no_sense(tiny_model: Path, arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        avse.load_model(str(tiny_model), "cpu").enhance(*arguments)  # type: ignore[type-var,arg-type]


def test_empty_array_is_an_input_error(tiny_model: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        avse.load_model(str(tiny_model), "cpu").enhance(np.zeros(0), 16000)


# Strength, full band ------------------------------------------------------------------------------------------------


def test_strength_mixes_voice_and_recording(arrays: tuple[np.ndarray, np.ndarray], tiny_model: Path) -> None:
    model, (waveform, _) = avse.load_model(str(tiny_model), "cpu"), arrays
    full = model.enhance(waveform, 16000)
    assert si_sdr(waveform[:, 0], full[:, 0]) < 25
    np.testing.assert_allclose(model.enhance(waveform, 16000, strength=0.0), waveform, atol=1e-5)
    half = model.enhance(waveform, 16000, strength=0.5)
    np.testing.assert_allclose(half, (waveform + full) / 2, atol=1e-5)
    with pytest.raises(UsageError, match="strength"):
        model.enhance(waveform, 16000, strength=1.5)


def test_nothing_above_8_khz_is_lost_at_48_khz(see_through: Path, tmp_path: Path) -> None:
    times = np.arange(48000) / 48000
    tones_hz = (1000, 7900, 8100, 12000, 16000, 20000, 23000)
    waveform = 0.1 * sum(np.sin(2 * np.pi * tone * times) for tone in tones_hz)
    soundfile.write(tmp_path / "in.wav", np.stack([waveform, 0.5 * waveform], 1), 48000, subtype="FLOAT")
    result = avse.enhance(tmp_path / "in.wav", model=str(see_through))
    assert result.waveform is not None
    assert (result.sample_rate, result.waveform.shape) == (48000, (48000, 2))
    levels = np.abs(np.fft.rfft(result.waveform, axis=0))[list(tones_hz)] / 24000  # bins of 1 Hz
    np.testing.assert_allclose(levels, np.tile([0.1, 0.05], (len(tones_hz), 1)), rtol=1e-3)


# Streams ------------------------------------------------------------------------------------------------------------


def test_from_standard_input_to_standard_output(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    command = [AVSE, "enhance", "--model", tiny_model, "-", "-o", "-"]
    done = subprocess.run(command, input=clip.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode().startswith("- -> -  (")
    avse.enhance(clip, tmp_path / "plain.wav", model=str(tiny_model))
    streamed, rate = soundfile.read(io.BytesIO(done.stdout), dtype="int16")
    stored, _ = soundfile.read(tmp_path / "plain.wav", dtype="int16")
    assert rate == 16000
    assert len(streamed) == len(stored)
    assert np.abs(streamed.astype(int) - stored).max() <= 1


def test_streams_in_python(tiny_model: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "in.mkv", coloured_noise(16000, 2), GREY)
    sink = io.BytesIO()
    result = avse.enhance(io.BytesIO(source.read_bytes()), sink, model=str(tiny_model), loudness_lufs=-20)
    assert (str(result.input), result.output, result.waveform) == ("-", None, None)
    assert soundfile.read(io.BytesIO(sink.getvalue()))[0].shape == (16000, 2)
    assert list(tmp_path.iterdir()) == [source]


def test_stream_that_is_too_large_is_refused_and_forgotten(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(InputError, match="larger than 1 MB"):
        avse.enhance(io.BytesIO(bytes(3_000_000)), model=str(tiny_model), limits=Limits(max_megabytes=1))
    assert list(tmp_path.iterdir()) == []


def test_input_that_is_no_recording_is_two_lines(tiny_model: Path) -> None:
    command = ["enhance", "--model", str(tiny_model), "-", "-o", "-"]
    shown = CliRunner().invoke(app, command, input=b"no recording" * 100)
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert len(shown.stderr.splitlines()) == 2


def test_scores_need_files(clip: Path, tiny_model: Path) -> None:
    command = ["enhance", "--model", str(tiny_model), str(clip), "-o", "-", "--reference", str(clip)]
    shown = CliRunner().invoke(app, command)
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "--reference does not work with pipes" in shown.stderr


def test_reader_that_leaves_early(clip: Path, tiny_model: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        command = [AVSE, "enhance", "--model", tiny_model, clip, "-o", "-", "-q"]
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (1, b"")


def test_header_of_a_stream_beyond_4_gb_means_until_the_end() -> None:
    assert len(wav_header(48000, 2, 100)) == 44
    assert wav_header(48000, 2, 100)[40:] == (400).to_bytes(4, "little")
    assert wav_header(48000, 2, 2**31)[40:] == b"\xff\xff\xff\xff"


# Being stopped, and names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_stopped_command_leaves_nothing(tiny_model: Path, tmp_path: Path, number: int, code: int) -> None:
    soundfile.write(tmp_path / "long.wav", np.tile(coloured_noise(160_000), (60, 1)), 16000)
    (tmp_path / "out.flac").write_bytes(b"old")
    command = [AVSE, "enhance", "long.wav", "-f", "-o", "out.flac", "--loudness", "-16", "--model", tiny_model]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        patience = time.monotonic() + 240
        while not any(".part" in name for name in os.listdir(tmp_path)):
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.02)
        process.send_signal(number)
        shown, errors = process.communicate(timeout=240)
    assert (process.returncode, shown, errors) == (code, "", "avse: interrupted; no incomplete file was left.\n")
    assert sorted(os.listdir(tmp_path)) == ["long.wav", "out.flac"]
    assert (tmp_path / "out.flac").read_bytes() == b"old"


@pytest.mark.parametrize("name", [b"two\nlines", b"\xff\xfe bytes", b"\x1b[31mred", b"-dash", b"a:b%d'\"\\"])
def test_names_of_any_bytes(tiny_model: Path, tmp_path: Path, name: bytes) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".mkv"))
    write_recording(tmp_path / "plain.mkv", coloured_noise(8000), GREY)
    os.rename(tmp_path / "plain.mkv", source)
    for output in ("-", source.with_suffix(".mp4")):
        done = CliRunner().invoke(
            app, ["enhance", "--model", str(tiny_model), str(source), "-o", str(output), "--json"]
        )
        assert done.exit_code == 0, done.output
        line = done.stderr if output == "-" else done.stdout
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
    assert len(os.listdir(tmp_path)) == 2
    missing = CliRunner().invoke(app, ["enhance", "--model", str(tiny_model), f"{source}.gone", "-o", "-"])
    assert (missing.exit_code, len(missing.stderr.splitlines())) == (2, 2)
    assert "\x1b" not in missing.stderr


def test_recording_beyond_the_limits(tiny_model: Path, tmp_path: Path) -> None:
    source = write_recording(tmp_path / "in.wav", coloured_noise(32000))
    for limits, words in [
        (Limits(max_seconds=1.5), "longer than 1.5 s"),
        (Limits(max_megabytes=0.01), "larger than 0.01 MB"),
    ]:
        with pytest.raises(InputError, match=words):
            avse.enhance(source, tmp_path / "out.wav", model=str(tiny_model), limits=limits)
    assert issubclass(InputError, AvseError)
    assert list(tmp_path.iterdir()) == [source]
