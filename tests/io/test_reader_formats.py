"""Any format: one talking head in many containers, codecs, rates and shapes; nothing is shifted, lost or misread."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soxr
from PIL import Image
from recordings import ffmpeg, lag, si_sdr, turned, video_packets

import avse
from avse.data.synthetic.clips import make_clip
from avse.enhancement.enhancer import Enhancer, load_model
from avse.errors import UsageError
from avse.io import reader

FAST = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "18")
LOSSLESS = ("-c:a", "pcm_s16le")
FIELDS = "fps=50,tinterlace=interleave_"
NUM_FRAMES = 48


class Plain(NamedTuple):
    """The sample: 320 x 240 at 25 fps, mono at 16 kHz, 1.92 s; its video frames, and the outputs of the networks."""

    path: Path
    waveform: np.ndarray
    frames: np.ndarray
    enhanced: np.ndarray
    without_video: np.ndarray


@pytest.fixture(scope="module")
def net(tiny_model: Path) -> Enhancer:
    return load_model(str(tiny_model), "cpu")


@pytest.fixture(scope="module")
def keeper(see_through: Path) -> Enhancer:
    return load_model(str(see_through), "cpu")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, net: Enhancer) -> Plain:
    folder = tmp_path_factory.mktemp("plain")
    make_clip(folder / "clip.mp4", NUM_FRAMES / 25)
    path = folder / "plain.mkv"
    ffmpeg("-i", folder / "clip.mp4", "-c:v", "copy", *LOSSLESS, path)
    waveform = reader.load_audio(reader.probe(path))[:, 0]
    unseen = avse.enhance(path, model=net, use_video=False)
    return Plain(path, waveform, small_frames(path), enhanced(path, net), waveform_of(unseen))


def waveform_of(result: object) -> np.ndarray:
    waveform = getattr(result, "waveform", None)
    assert isinstance(waveform, np.ndarray)
    return waveform


def enhanced(path: Path, model: Enhancer, **options: int) -> np.ndarray:
    return waveform_of(avse.enhance(path, model=model, **options))  # type: ignore[arg-type]


def small_frames(path: Path) -> np.ndarray:
    """Return the video at 25 fps as displayed, from the start of the audio; its middle, 4 x 3, shrunk."""
    shown = []
    for frame in reader.read_frames(reader.probe(path)):
        height, width = frame.shape
        used = min(height, width * 3 // 4)
        top = (height - used) // 2
        middle = Image.fromarray(frame[top : top + used])
        shown.append(np.asarray(middle.resize((40, 30), Image.Resampling.BOX), np.float32))
    return np.stack(shown)


# Video --------------------------------------------------------------------------------------------------------------

VIDEO_FORMATS = {
    "15 fps": ("mkv", "-vf", "fps=15", *FAST),
    "24 fps": ("mkv", "-vf", "fps=24", *FAST),
    "29.97 fps": ("mkv", "-vf", "fps=30000/1001", *FAST),
    "30 fps": ("mkv", "-vf", "fps=30", *FAST),
    "50 fps": ("mkv", "-vf", "fps=50", *FAST),
    "60 fps": ("mkv", "-vf", "fps=60", *FAST),
    "variable rate": ("mkv", "-vf", "select='eq(n,0)+mod(n,7)*mod(n,5)'", *FAST),
    "interlaced": ("mkv", "-vf", f"{FIELDS}top", "-flags", "+ilme+ildct", *FAST),
    "interlaced, bottom first": ("mkv", "-vf", f"{FIELDS}bottom", "-flags", "+ilme+ildct", "-c:v", "mpeg2video"),
    "wide pixels": ("mkv", "-vf", "scale=160:240,setsar=2", *FAST),
    "tall pixels": ("mkv", "-vf", "scale=320:180,setsar=3/4", *FAST),
    "10 bit": ("mkv", "-pix_fmt", "yuv420p10le", *FAST),
    "4:4:4": ("mkv", "-pix_fmt", "yuv444p", *FAST),
    "odd size": ("mkv", "-vf", "scale=317:239", "-c:v", "ffv1"),
    "portrait": ("mkv", "-vf", "pad=320:568:0:164", *FAST),
    "grey": ("mkv", "-pix_fmt", "gray", "-c:v", "ffv1"),
    "motion jpeg": ("avi", "-c:v", "mjpeg", "-q:v", "2"),
}  # fmt: skip


def check_video(path: Path, plain: Plain, net: Enhancer) -> None:
    """The video is in sync, and the result is nearer to the plain one than that without video."""
    frames = small_frames(path)
    inside = slice(3, NUM_FRAMES - 5)
    assert abs(len(frames) - NUM_FRAMES) <= 1
    misfit = {
        shift: float(np.abs(plain.frames[inside] - frames[inside.start + shift : inside.stop + shift]).mean())
        for shift in (-2, -1, 0, 1, 2)
    }
    output = enhanced(path, net)
    assert min(misfit, key=lambda shift: misfit[shift]) == 0
    assert output.shape == plain.enhanced.shape
    agreement = si_sdr(plain.enhanced[:, 0], output[:, 0])
    assert agreement > 45
    assert agreement > si_sdr(plain.enhanced[:, 0], plain.without_video[:, 0]) + 6


@pytest.mark.parametrize("name", VIDEO_FORMATS)
def test_any_video(name: str, plain: Plain, net: Enhancer, tmp_path: Path) -> None:
    suffix, *options = VIDEO_FORMATS[name]
    path = tmp_path / f"variant.{suffix}"
    ffmpeg("-i", plain.path, *options, *LOSSLESS, path)
    check_video(path, plain, net)


def test_video_in_4k(plain: Plain, net: Enhancer, tmp_path: Path) -> None:
    path = tmp_path / "variant.mp4"
    ffmpeg("-i", plain.path, "-t", "0.4", "-vf", "scale=3840:2160", *FAST, path)
    result = avse.enhance(path, model=net)
    assert (result.num_faces, result.seen_share) == (1, 1.0)
    frames = small_frames(path)
    assert len(frames) == 10


@pytest.mark.parametrize(("turn", "degrees"), [("transpose=1", 90), ("transpose=2", -90), ("hflip,vflip", 180)])
def test_video_with_a_rotation_flag(turn: str, degrees: int, plain: Plain, net: Enhancer, tmp_path: Path) -> None:
    ffmpeg("-i", plain.path, "-vf", turn, *FAST, *LOSSLESS, tmp_path / "lying.mov")
    check_video(turned(tmp_path / "lying.mov", tmp_path / "upright.mov", degrees), plain, net)


# Containers and codecs ----------------------------------------------------------------------------------------------

MPEG4, VP8 = (
    ("-c:v", "mpeg4", "-q:v", "4"),
    ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-s", "160x120"),
)
AUDIO_FORMATS = {
    "mp4 aac": ("mp4", *FAST, "-c:a", "aac", "-ar", "48000", "-ac", "2"),
    "mp4 mp3": ("mp4", *FAST, "-c:a", "libmp3lame", "-ar", "44100"),
    "mp4 ac3 5.1": ("mp4", *FAST, "-c:a", "ac3", "-ar", "48000", "-ac", "6"),
    "mov pcm 24 bit": ("mov", *FAST, "-c:a", "pcm_s24le", "-ar", "96000"),
    "mov alac": ("mov", *FAST, "-c:a", "alac", "-ac", "2"),
    "mkv opus": ("mkv", *FAST, "-c:a", "libopus"),
    "mkv flac 5.1": ("mkv", *FAST, "-c:a", "flac", "-ac", "6", "-ar", "44100"),
    "mkv 8 kHz": ("mkv", *FAST, *LOSSLESS, "-ar", "8000"),
    "mkv 11.025 kHz": ("mkv", *FAST, *LOSSLESS, "-ar", "11025"),
    "mkv 22.05 kHz": ("mkv", *FAST, *LOSSLESS, "-ar", "22050"),
    "mkv 32 kHz": ("mkv", *FAST, *LOSSLESS, "-ar", "32000", "-ac", "2"),
    "webm vorbis": ("webm", *VP8, "-c:a", "libvorbis", "-ar", "44100"),
    "webm opus": ("webm", *VP8, "-c:a", "libopus", "-ac", "2"),
    "avi mp3": ("avi", *MPEG4, "-c:a", "libmp3lame", "-ar", "44100"),
    "avi pcm": ("avi", *MPEG4, *LOSSLESS),
    "flv aac": ("flv", *FAST, "-c:a", "aac", "-ar", "44100"),
    "flv mp3": ("flv", "-c:v", "flv", "-q:v", "4", "-c:a", "libmp3lame", "-ar", "22050"),
    "mpg ac3": ("mpg", "-c:v", "mpeg2video", "-q:v", "4", "-c:a", "ac3", "-ar", "48000", "-ac", "2"),
    "mpg mp2": ("mpg", "-c:v", "mpeg2video", "-q:v", "4", "-c:a", "mp2", "-ar", "48000"),
    "ts aac": ("ts", *FAST, "-c:a", "aac", "-ar", "48000"),
    "ts ac3 5.1": ("ts", *FAST, "-c:a", "ac3", "-ar", "48000", "-ac", "6"),
    "mp3": ("mp3", "-vn", "-ar", "32000"),
    "m4a": ("m4a", "-vn", "-ac", "2"),
    "ogg": ("ogg", "-vn", "-c:a", "libvorbis", "-ar", "48000"),
    "opus": ("opus", "-vn"),
    "flac": ("flac", "-vn", "-ar", "96000"),
    "aiff": ("aiff", "-vn"),
}


LATE_SECONDS = {"avi mp3": 1105 / 44100}
"""AVI does not say by how much MP3 comes late (one granule, the filters and 529 samples): every player is that late."""


def decoded_apart(path: Path, recording: reader.Recording, track: int = 0) -> np.ndarray:
    """Return the audio as ffmpeg alone decodes it, (N, C)."""
    assert recording.audio is not None
    raw = path.with_suffix(".raw")
    ffmpeg("-i", path, "-map", f"0:a:{track}", "-f", "f32le", "-c:a", "pcm_f32le", raw)
    return np.fromfile(raw, "<f4").reshape(-1, recording.audio.num_channels)


def drift_seconds(output: np.ndarray, recording: reader.Recording, plain: Plain) -> float:
    """Return by how much the audio is later against the video than in the plain sample."""
    assert recording.audio is not None
    mono = soxr.resample(output.mean(1), recording.audio.sample_rate, 48000)
    offset = recording.audio.start_seconds - recording.video.start_seconds if recording.video else 0.0
    return lag(mono, soxr.resample(plain.waveform, 16000, 48000)) / 48000 + offset


@pytest.mark.parametrize("name", AUDIO_FORMATS)
def test_any_container_and_audio_codec(name: str, plain: Plain, keeper: Enhancer, tmp_path: Path) -> None:
    suffix, *options = AUDIO_FORMATS[name]
    path = tmp_path / f"variant.{suffix}"
    ffmpeg("-i", plain.path, *options, path)
    output, recording = enhanced(path, keeper), reader.probe(path)
    expected = decoded_apart(path, recording)
    assert recording.audio is not None
    assert output.shape == expected.shape
    inside = slice(300, -300)  # audio that is cut off cannot be resampled exactly at its ends
    assert np.abs(output - expected)[inside].max() < 2e-3
    assert all(lag(output[:, channel], expected[:, channel]) == 0 for channel in range(output.shape[1]))
    assert drift_seconds(output, recording, plain) == pytest.approx(LATE_SECONDS.get(name, 0.0), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("ts aac", "mkv"), ("mpg mp2", "mkv"), ("flv aac", "mp4"), ("mkv opus", "mp4"), ("avi pcm", "mov")],
)
def test_new_audio_starts_where_the_old_one_did(
    name: str, suffix: str, plain: Plain, keeper: Enhancer, tmp_path: Path
) -> None:
    source, *options = AUDIO_FORMATS[name]
    path, output = tmp_path / f"variant.{source}", tmp_path / f"out.{suffix}"
    ffmpeg("-i", plain.path, *options, path)
    avse.enhance(path, output, model=keeper)
    recording = reader.probe(output)
    assert recording.audio is not None
    decoded = reader.load_audio(recording, recording.audio.sample_rate, recording.audio.num_channels)
    assert drift_seconds(decoded, recording, plain) == pytest.approx(0.0, abs=1e-3)
    packets = video_packets(output), video_packets(path)
    assert packets[0] == packets[1] or source == "ts"  # whose packets are wrapped in another way
    assert len(packets[0]) == len(packets[1])


# Several tracks, and tracks that do not begin or end together -----------------------------------------------------


def test_one_of_several_audio_tracks(plain: Plain, keeper: Enhancer, tmp_path: Path) -> None:
    path = tmp_path / "tracks.mkv"
    ffmpeg(
        "-f", "lavfi", "-i", "sine=440:duration=1.5:sample_rate=44100", "-i", plain.path,
        "-map", "0:a", "-map", "1:v", "-map", "1:a", "-c:v", "copy", *LOSSLESS, path,
    )  # fmt: skip
    recording = reader.probe(path, audio_track=2)
    assert [description.split(", ")[1] for description in recording.audio_tracks] == ["44100 Hz", "16000 Hz"]
    np.testing.assert_allclose(enhanced(path, keeper, audio_track=2)[:, 0], plain.waveform, atol=1e-4)
    assert enhanced(path, keeper, audio_track=1).shape == (66150, 1)
    for number in (0, 3, -1):
        with pytest.raises(UsageError, match="no audio track"):
            avse.enhance(path, model=keeper, audio_track=number)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "ts"])
@pytest.mark.parametrize(("audio_start", "video_start"), [(0.4, 0.0), (0.0, 0.4)])
def test_track_that_starts_later(
    suffix: str, audio_start: float, video_start: float, plain: Plain, net: Enhancer, tmp_path: Path
) -> None:
    path = tmp_path / f"variant.{suffix}"
    late = ("-itsoffset", str(audio_start), "-i", plain.path, "-itsoffset", str(video_start), "-i", plain.path)
    codec = LOSSLESS if suffix == "mkv" else ("-c:a", "aac", "-ar", "48000")
    ffmpeg(*late, "-map", "0:a", "-map", "1:v", *FAST, *codec, path)
    output, recording = enhanced(path, net), reader.probe(path)
    assert drift_seconds(output, recording, plain) == pytest.approx(audio_start - video_start, abs=1e-3)
    if suffix == "mkv":
        assert output.shape == plain.enhanced.shape
    ahead = round(
        25 * (audio_start - video_start)
    )  # frames that end before the audio begins, or are missing when it does
    frames = small_frames(path)
    assert abs(len(frames) - (NUM_FRAMES - ahead)) <= 1
    expected = plain.frames[max(ahead, 0) + 2 :][:30]
    misfit = [np.abs(frames[max(-ahead, 0) + 2 + shift :][:30] - expected).mean() for shift in (-1, 0, 1)]
    assert int(np.argmin(misfit)) == 1 or suffix != "mkv"  # AAC begins half a frame before what it holds
    assert min(misfit) < 0.6


@pytest.mark.parametrize(("audio_end", "video_end"), [("1.92", "1.0"), ("1.0", "1.92")])
def test_track_that_ends_earlier(audio_end: str, video_end: str, plain: Plain, net: Enhancer, tmp_path: Path) -> None:
    path = tmp_path / "variant.mkv"
    ends = ("-t", audio_end, "-i", plain.path, "-t", video_end, "-i", plain.path)
    ffmpeg(*ends, "-map", "0:a", "-map", "1:v", *FAST, *LOSSLESS, path)
    output = enhanced(path, net)
    assert output.shape == (round(float(audio_end) * 16000), 1)
    both = slice(0, 8000)
    assert si_sdr(plain.enhanced[both, 0], output[both, 0]) > 25


def test_video_that_changes_its_size_midway_keeps_its_time(plain: Plain, tmp_path: Path) -> None:
    for name, size, part in [("a", "320:240", ("-t", "0.96")), ("b", "160:120", ("-ss", "0.96"))]:
        codec = ("-c:v", "mpeg2video", "-q:v", "2", "-bf", "0", "-c:a", "mp2", "-ar", "48000", "-muxdelay", "0")
        shifted = ("-output_ts_offset", "0.96") if name == "b" else ()
        ffmpeg("-i", plain.path, *part, "-vf", f"scale={size}", *codec, *shifted, tmp_path / f"{name}.ts")
    path = tmp_path / "both.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    frames = small_frames(path)
    assert abs(len(frames) - NUM_FRAMES) <= 2
    later = slice(30, 44)
    misfit = [np.abs(plain.frames[later] - frames[30 + shift : 44 + shift]).mean() for shift in (-2, -1, 0, 1, 2)]
    assert int(np.argmin(misfit)) in (1, 2, 3)
