"""Audio outputs of every type: length, bit depth, bit rate, tags; and clear errors for what they cannot hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import coloured_noise, ffmpeg, lag, si_sdr, write_recording
from typer.testing import CliRunner

import avse
from avse.enhancement.validation import check_tracks
from avse.errors import InputError, UsageError
from avse.io import atomic, reader
from avse.io.encoding import SETTINGS_HINT, OutputSettings, check_audio_fits
from avse.io.ffmpeg import input_arguments, run
from avse.io.formats import AUDIO_OUTPUTS
from avse.io.limits import DEFAULT_LIMITS
from avse.io.stream_info import FileInfo, parse_info
from avse.io.writer import open_audio_file, write_file, write_output
from avse_cli.main import app

LOSSY = sorted(AUDIO_OUTPUTS - {".wav", ".flac"})


def write(source: Path, output: Path, **settings: object) -> reader.Recording:
    """Write the audio of a recording, as it is, into an output."""
    recording = reader.probe(source)
    assert recording.audio is not None
    rate, channels = recording.audio.sample_rate, recording.audio.num_channels
    samples = reader.load_audio(recording, rate, channels)
    write_file(output, recording, len(samples), iter([samples]), OutputSettings(**settings))  # type: ignore[arg-type]
    return recording


def look_into(path: Path) -> FileInfo:
    return parse_info(run(input_arguments(path, DEFAULT_LIMITS), DEFAULT_LIMITS, "It failed")[1])


def tags_of(path: Path) -> dict[str, str]:
    info = look_into(path)
    return info.tags | {key: value for stream in info.streams for key, value in stream.tags.items()}


@pytest.mark.parametrize("suffix", [".m4a", ".flac"])
def test_a_run_that_starts_meanwhile_leaves_the_audio_that_is_still_to_be_encoded(tmp_path: Path, suffix: str) -> None:
    """Its output has a name that begins with the same characters."""
    tagged = ["-metadata", "title=Interview"]
    ffmpeg("-f", "lavfi", "-i", "sine=duration=0.5", "-ar", "16000", *tagged, tmp_path / "in.wav")
    recording = reader.probe(tmp_path / "in.wav")

    def blocks() -> Iterator[np.ndarray]:
        yield np.zeros((4000, 1), np.float32)
        atomic.check_output(tmp_path / f"Screen Recording 2026-11-30 at 11{suffix}", force=False)
        yield np.zeros((4000, 1), np.float32)

    output = tmp_path / f"Screen Recording 2026-11-30 at 10{suffix}"
    write_output(output, recording, 8000, blocks())
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, "in.wav"]
    assert tags_of(output).get("title") == "Interview"


@pytest.mark.parametrize("suffix", LOSSY)
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (48000, 1)])
def test_lossy_types_keep_length_place_and_voice(tmp_path: Path, suffix: str, rate: int, channels: int) -> None:
    waveform = coloured_noise(rate, channels, top=0.4)
    write(write_recording(tmp_path / "in.wav", waveform, sample_rate=rate), tmp_path / f"out{suffix}")
    written = reader.probe(tmp_path / f"out{suffix}")
    assert written.audio is not None
    assert written.audio.num_channels == channels
    assert written.audio.sample_rate == (48000 if suffix == ".opus" else rate)
    samples = reader.load_audio(written, rate, channels)
    assert abs(len(samples) - rate) <= 2
    size = min(len(samples), rate)
    assert lag(samples[:size, 0], waveform[:size, 0]) == 0
    assert si_sdr(waveform[:size, 0], samples[:size, 0]) > 5
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == [f"out{suffix}"]


@pytest.mark.parametrize("suffix", LOSSY)
def test_bit_rate_is_the_one_asked_for(tmp_path: Path, suffix: str) -> None:
    source = write_recording(tmp_path / "in.wav", 3 * coloured_noise(480_000), sample_rate=48000)
    sizes = []
    for kbps in (48, 128):
        write(source, tmp_path / f"out{suffix}", bitrate_kbps=kbps)
        sizes.append((tmp_path / f"out{suffix}").stat().st_size * 8 / 10 / 1000)
    assert sizes == pytest.approx([48, 128], rel=0.25)


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 12000, 24000, 64000, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_vorbis_has_every_rate_by_default(tmp_path: Path, rate: int, channels: int) -> None:
    """At most of these rates, libvorbis refuses the usual bit rates."""
    num_samples = rate // 4
    soundfile.write(tmp_path / "in.wav", coloured_noise(num_samples, channels), rate)
    write(tmp_path / "in.wav", tmp_path / "out.ogg")
    written = soundfile.info(tmp_path / "out.ogg")
    assert (written.samplerate, written.channels, written.frames) == (rate, channels, num_samples)


@pytest.mark.parametrize(("suffix", "kbps"), [(".ogg", 1024), (".ogg", 6), (".opus", 1024)])
def test_bit_rate_that_an_encoder_refuses_is_reported_before_any_work(tmp_path: Path, suffix: str, kbps: float) -> None:
    source = write_recording(tmp_path / "in.wav", coloured_noise(1600))
    with pytest.raises(InputError, match=rf"16 kHz mono cannot be .* {suffix} file at {kbps} kbit/s") as error:
        check_tracks(reader.probe(source), tmp_path / f"out{suffix}", OutputSettings(kbps))
    assert error.value.hint == SETTINGS_HINT
    check_tracks(reader.probe(source), tmp_path / f"out{suffix}")


@pytest.mark.parametrize("suffix", LOSSY)
def test_missing_encoder_is_reported_before_any_work(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = reader.probe(write_recording(tmp_path / "in.wav", coloured_noise(1600)))
    script = tmp_path / "ffmpeg"
    script.write_text('#!/bin/sh\necho "[aost#0:0 @ 0x1] Unknown encoder" >&2\nexit 8\n')
    script.chmod(0o755)
    monkeypatch.setenv("AVSE_FFMPEG", str(script))
    with pytest.raises(InputError, match="Unknown encoder") as error:
        check_tracks(recording, tmp_path / f"out{suffix}")
    assert error.value.hint == "Write a .wav file."


def test_background_that_cannot_hold_the_audio_is_refused(tmp_path: Path, see_through: Path) -> None:
    source = write_recording(tmp_path / "in.wav", coloured_noise(1600, 3))
    with pytest.raises(InputError, match=r"A \.mp3 file cannot hold 3 channels"):
        avse.enhance(source, tmp_path / "out.wav", model=str(see_through), background=tmp_path / "rest.mp3")
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.parametrize(("subtype", "flac"), [("PCM_16", "PCM_16"), ("PCM_24", "PCM_24"), ("FLOAT", "PCM_24")])
@pytest.mark.parametrize("source", ["in.wav", "in.flac", "in.mkv"])
def test_bit_depth_is_kept(tmp_path: Path, subtype: str, flac: str, source: str) -> None:
    if subtype == "FLOAT" and source == "in.flac":
        pytest.skip("FLAC holds no floats.")
    waveform = coloured_noise(4000)
    soundfile.write(tmp_path / "plain.wav", waveform, 16000, subtype=subtype)
    codec = {"PCM_16": "pcm_s16le", "PCM_24": "pcm_s24le", "FLOAT": "pcm_f32le"}[subtype]
    if source != "in.flac":
        ffmpeg("-i", tmp_path / "plain.wav", "-c:a", codec, tmp_path / source)
    else:
        soundfile.write(tmp_path / source, waveform, 16000, subtype=subtype)
    for suffix, expected in ((".wav", subtype), (".flac", flac)):
        write(tmp_path / source, tmp_path / f"out{suffix}")
        assert soundfile.info(tmp_path / f"out{suffix}").subtype == expected
        step = {"PCM_16": 2**-14, "PCM_24": 2**-22, "FLOAT": 1e-7}[expected]
        np.testing.assert_allclose(soundfile.read(tmp_path / f"out{suffix}")[0], waveform[:, 0], atol=step)


def test_float_beyond_full_scale_is_kept_in_wav_alone(tmp_path: Path, see_through: Path) -> None:
    loud = 2 * coloured_noise(16000) / np.abs(coloured_noise(16000)).max()
    soundfile.write(tmp_path / "in.wav", loud, 16000, subtype="FLOAT")
    kept = avse.enhance(tmp_path / "in.wav", tmp_path / "out.wav", model=str(see_through))
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0]).max() == pytest.approx(2, abs=0.05)
    assert "clipped" not in kept.note
    clipped = avse.enhance(tmp_path / "in.wav", tmp_path / "out.flac", model=str(see_through))
    assert np.abs(soundfile.read(tmp_path / "out.flac")[0]).max() == pytest.approx(1, abs=1e-4)
    assert "clipped" in clipped.note


@pytest.mark.parametrize("suffix", sorted(AUDIO_OUTPUTS))
@pytest.mark.parametrize("source", ["in.flac", "in.ogg", "in.m4a", "in.mp3"])
def test_tags_are_kept(tmp_path: Path, suffix: str, source: str) -> None:
    plain = write_recording(tmp_path / "plain.wav", coloured_noise(16000))
    ffmpeg("-i", plain, "-metadata", "title=Gespräch", "-metadata", "artist=Somebody", tmp_path / source)
    recording = write(tmp_path / source, tmp_path / f"out{suffix}")
    tags = tags_of(tmp_path / f"out{suffix}")
    assert (tags["title"], tags["artist"]) == ("Gespräch", "Somebody")
    assert recording.notices == []


def test_tags_that_wav_cannot_hold_are_reported(tmp_path: Path) -> None:
    plain = write_recording(tmp_path / "plain.wav", coloured_noise(16000))
    ffmpeg("-i", plain, "-metadata", "title=A", "-metadata", "replaygain_track_gain=-3 dB", tmp_path / "in.flac")
    recording = write(tmp_path / "in.flac", tmp_path / "out.wav")
    (notice,) = recording.notices
    assert notice.code == "not_carried"
    assert "tag replaygain_track_gain" in notice.text


def test_cover_goes_where_it_fits_or_is_missed(tmp_path: Path) -> None:
    """Also of a recording that has no tags."""
    plain = write_recording(tmp_path / "plain.wav", coloured_noise(16000))
    ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", tmp_path / "cover.png")
    ffmpeg(
        "-i", plain, "-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v",
        "attached_pic", tmp_path / "in.flac",
    )  # fmt: skip
    for suffix in (".mp3", ".m4a", ".flac"):
        recording = write(tmp_path / "in.flac", tmp_path / f"out{suffix}")
        assert [stream.is_cover for stream in look_into(tmp_path / f"out{suffix}").streams] == [False, True]
        assert recording.notices == []
    for suffix in (".wav", ".ogg", ".opus"):
        recording = write(tmp_path / "in.flac", tmp_path / f"out{suffix}")
        assert "hold them: cover" in recording.notices[0].text


@pytest.mark.parametrize(
    ("suffix", "rate", "channels"),
    [
        (".mp3", 16000, 3),
        (".mp3", 96000, 1),
        (".m4a", 10000, 1),
        (".mp4", 10000, 1),
        (".flac", 16000, 9),
        (".opus", 16000, 9),
        (".ogg", 352800, 1),
        (".flac", 705600, 1),
        (".mkv", 705600, 1),
        (".mov", 705600, 1),
    ],
)
def test_what_a_type_cannot_hold_is_refused_with_a_remedy(suffix: str, rate: int, channels: int) -> None:
    with pytest.raises(InputError, match=rf"A {suffix} file cannot hold") as error:
        check_audio_fits(reader.AudioStream(rate, channels, 0.0), suffix)
    assert error.value.hint in ("Write a .wav file.", "Write a .mkv file.")
    check_audio_fits(reader.AudioStream(rate, channels, 0.0), error.value.hint.split()[2])


@pytest.mark.parametrize("rate", [1000, 44056, 65535, 65536, 65537, 65540, 352800, 655350, 655360, 705600, 1000000])
def test_flac_has_the_rates_that_are_not_refused(tmp_path: Path, rate: int) -> None:
    """libsndfile reports the others as it reports a full disk."""
    audio = reader.AudioStream(rate, 1, 0.0)
    is_refused = False
    try:
        check_audio_fits(audio, ".flac")
    except InputError:
        is_refused = True
    with (
        pytest.raises(soundfile.SoundFileError) if is_refused else nullcontext(),
        open_audio_file(tmp_path / "out.flac", audio, 10) as file,
    ):
        file.write(coloured_noise(10))
    assert is_refused or soundfile.info(tmp_path / "out.flac").samplerate == rate


@pytest.mark.parametrize(
    ("settings", "suffix", "message"),
    [
        ({"bitrate_kbps": 96.0}, ".wav", "lossless"),
        ({"bitrate_kbps": 96.0}, ".mkv", "lossless"),
        ({"keep_tracks": True}, ".mp3", "one audio track"),
    ],
)
def test_settings_that_do_not_go_with_a_type(settings: dict[str, object], suffix: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OutputSettings(**settings).check(suffix)  # type: ignore[arg-type]
    OutputSettings(**settings, is_lenient=True).check(suffix)  # type: ignore[arg-type]


@pytest.mark.parametrize("kbps", [0, -5, 5, 2000, float("nan")])
def test_bit_rate_out_of_range(kbps: float) -> None:
    with pytest.raises(UsageError, match="out of range"):
        OutputSettings(bitrate_kbps=kbps)


def test_command_line_takes_a_bit_rate(tmp_path: Path, see_through: Path) -> None:
    write_recording(tmp_path / "in.wav", coloured_noise(16000))
    arguments = ["enhance", str(tmp_path / "in.wav"), "--model", str(see_through), "--bitrate", "64", "-o"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "out.mp3")])
    assert (done.exit_code, reader.probe(tmp_path / "out.mp3").audio is None) == (0, False)
    refused = CliRunner().invoke(app, [*arguments, str(tmp_path / "out.wav")])
    assert (refused.exit_code, (tmp_path / "out.wav").exists()) == (2, False)
    assert "lossless" in refused.stderr
