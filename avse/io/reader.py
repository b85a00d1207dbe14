"""Recordings in and out, by ffmpeg: probe, decode sound, decode pictures, put sound back under a picture.

Everything is streamed over pipes in formats that describe themselves (framecrc, Matroska, YUV4MPEG2), so that no
ffprobe is needed and nothing is held in memory. The options are those that ffmpeg has had since 4.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avse.config import VIDEO_FPS
from avse.dsp import resampling
from avse.errors import InputError, UsageError
from avse.io.ffmpeg import (
    DEFAULT_LIMITS,
    QUIET,
    REPAIR_HINT,
    Limits,
    build_command,
    error_line,
    open_input,
    run,
    stream_output,
)
from avse.io.matroska import fill_gaps
from avse.progress import Stage, timed_items


@dataclass(frozen=True)
class AudioStream:
    """A sound track: rate in Hz, channels, when it starts on the file's own clock in seconds, and ffmpeg's name for
    the places of its channels, empty where it has none."""

    sample_rate: int
    num_channels: int
    start_seconds: float
    layout: str = ""


@dataclass(frozen=True)
class VideoStream:
    """The first picture track as displayed (rotated, square pixels), and when it starts on the file's own clock."""

    width: int
    height: int
    start_seconds: float


@dataclass(frozen=True)
class Recording:
    """A recording: where it is, how long it claims to be (0 if it does not say), and its two tracks.

    ``audio_track`` counts the sound tracks from 1; ``audio_tracks`` is how ffmpeg describes them.
    """

    path: Path
    duration_seconds: float
    audio: AudioStream | None
    video: VideoStream | None
    audio_track: int = 1
    audio_tracks: tuple[str, ...] = ()
    limits: Limits = DEFAULT_LIMITS

    @property
    def sound(self) -> AudioStream:
        """The audio stream of a recording that must have one. InputError where there is none."""
        if self.audio is None:
            raise InputError(f"{self.path} has no sound.", "Give a recording with a sound track.")
        return self.audio


@dataclass(frozen=True)
class InMemoryRecording(Recording):
    """A recording that is in memory already: sound (N, C), and a picture, grey (V, H, W) or RGB (V, H, W, 3) uint8.

    ``order`` names the frame that is shown in each 25th of a second, from where the sound starts.
    """

    waveform: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    pixels: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 2), np.uint8))
    order: np.ndarray = field(default_factory=lambda: np.zeros(0, int))


def probe(path: str | Path, audio_track: int = 1, limits: Limits = DEFAULT_LIMITS) -> Recording:
    """Look into a recording by decoding the first frame of each track.

    Raises:
        InputError: it is no recording, or beyond the limits. UsageError: it has no such sound track.
    """
    path = Path(path)
    if path.is_file():
        limits.check_size(path, path.stat().st_size)
    sound, words = _first_frame(path, f"a:{audio_track - 1}", limits, acodec="pcm_s16le")
    tracks = tuple(re.findall(r"^ *Stream #0:\d+\S*: Audio: (.+)$", words.split("Stream mapping:")[0], re.MULTILINE))
    if tracks and not 1 <= audio_track <= len(tracks):
        listed = "; ".join(f"{number}: {track}" for number, track in enumerate(tracks, 1))
        raise UsageError(f"{path} has no sound track {audio_track}.", f"It has {listed}")
    exact = {"enc_time_base": "1:90000"}  # or times would be rounded to whole frames
    picture, words = _first_frame(path, "V:0", limits, vf=_SQUARE, vcodec="rawvideo", pix_fmt="gray", **exact)
    duration = _duration(words)
    limits.check_seconds(path, duration)
    return Recording(path, duration, _audio_stream(sound), _video_stream(picture), audio_track, tracks, limits)


def read_audio(media: Recording, block_seconds: float, sample_rate: int, num_channels: int) -> Iterator[np.ndarray]:
    """The sound in blocks of float32 (N, C), the last one shorter than the others, and perhaps empty.

    ``num_channels`` is its own, or 1: the mean, as the net hears it. What drops out by the file's own clock is silent.
    """
    audio = media.sound
    decoded = (
        _blocks_in_memory(media, block_seconds)
        if isinstance(media, InMemoryRecording)
        else _decode_audio(media, block_seconds)
    )
    decoded = timed_items(Stage.READ_AUDIO, decoded)
    mixed = decoded if num_channels == audio.num_channels else resampling.downmix(decoded)
    yield from resampling.resample(mixed, audio.sample_rate, sample_rate)


def load_audio(media: Recording, sample_rate: int = 16000, num_channels: int = 1) -> np.ndarray:
    """Decode the whole sound: float32 (N, C)."""
    return np.concatenate(list(read_audio(media, 10.0, sample_rate, num_channels)))


def read_frames(
    media: Recording, crop: tuple[int, int, int, int] | None = None, max_side: int | None = None
) -> Iterator[Any]:
    """The picture as grey uint8 (H, W) at exactly 25 fps, frame 0 where the *sound* starts.

    ``crop`` is (left, top, width, height) in displayed pixels; ``max_side`` shrinks the longer side to at most that.
    A picture that begins after the sound is padded in front with its first frame (`first_shown`).
    """
    if isinstance(media, InMemoryRecording):
        yield from _frames_in_memory(media, crop, max_side)
        return
    with stream_output(_decode_video(media, crop, max_side), media.limits, f"ffmpeg cannot read {media.path}") as pipe:
        width, height = _y4m_size(pipe.readline())
        while pipe.readline().startswith(b"FRAME"):
            data = pipe.read(width * height)
            if len(data) < width * height:
                return
            yield np.frombuffer(data, np.uint8).reshape(height, width)


def first_video_frame(media: Recording) -> int:
    """The frame in which the picture begins; in those before it `frames` repeats what is shown then."""
    if media.audio is None or media.video is None:
        return 0
    return max(0, round((media.video.start_seconds - media.audio.start_seconds) * VIDEO_FPS))


_SQUARE = "scale='min(max(trunc(iw*sar),2),16384)':ih,setsar=1"


def _decode_audio(media: Recording, block_seconds: float) -> Iterator[np.ndarray]:
    import ffmpeg

    assert media.audio is not None
    rate, num_channels = media.audio.sample_rate, media.audio.num_channels
    track = open_input(media.path, media.limits)[f"a:{media.audio_track - 1}"]
    channels = {"channel_layout": media.audio.layout} if media.audio.layout else {"ac": num_channels}
    decoded = ffmpeg.output(track, "pipe:", format="matroska", acodec="pcm_f32le", ar=rate, **channels)
    with stream_output(build_command(decoded, *QUIET), media.limits, f"ffmpeg cannot read {media.path}") as pipe:
        yield from resampling.regroup(fill_gaps(pipe, rate, num_channels), round(block_seconds * rate))


def _decode_video(media: Recording, crop: tuple[int, int, int, int] | None, max_side: int | None) -> list[str]:
    """Frames are made whole where they say that they are interlaced, put on the grid of 25 fps, then cut and shrunk.

    Time begins anew with the first frame: ffmpeg then neither adds frames nor drops any, even where a picture that
    changes its size midway makes it set up the chain once more.
    """
    import ffmpeg

    assert media.video is not None
    start = media.audio.start_seconds if media.audio else media.video.start_seconds
    width, height = media.video.width, media.video.height
    chain = [
        "bwdif=mode=send_frame:deint=interlaced", f"fps={VIDEO_FPS}:start_time={start:.6f}", "setpts=PTS-STARTPTS",
        f"scale={width}:{height},setsar=1",
    ]  # fmt: skip
    if crop:
        left, top, width, height = crop
        chain += [f"crop={width}:{height}:{left}:{top}:exact=1", "scale"]  # or all of the picture would turn grey first
    if max_side and max_side < max(width, height):
        chain.append(f"scale={_shrunk(width, height, max_side)}:flags=area")
    grey = ffmpeg.output(
        open_input(media.path, media.limits)["V:0"], "pipe:", vf=",".join(chain), pix_fmt="gray", format="yuv4mpegpipe",
        strict=-1,
    )  # fmt: skip
    return build_command(grey, *QUIET)


def _shrunk(width: int, height: int, max_side: int) -> str:
    """Size of a picture whose longer side becomes that, as ffmpeg writes it."""
    scale = max_side / max(width, height)
    return f"{max(int(scale * width), 2)}:{max(int(scale * height), 2)}"


def _blocks_in_memory(media: InMemoryRecording, block_seconds: float) -> Iterator[np.ndarray]:
    assert media.audio is not None
    size = max(round(block_seconds * media.audio.sample_rate), 1)
    for start in range(0, max(len(media.waveform), 1), size):
        yield media.waveform[start : start + size]


def _frames_in_memory(
    media: InMemoryRecording, crop: tuple[int, int, int, int] | None, max_side: int | None
) -> Iterator[np.ndarray]:
    for index in media.order:
        image = Image.fromarray(media.pixels[index]).convert("L")
        if crop:
            left, top, width, height = crop
            image = image.crop((left, top, left + width, top + height))
        if max_side and max_side < max(image.size):
            width, height = map(int, _shrunk(*image.size, max_side).split(":"))
            image = image.resize((width, height), Image.Resampling.BOX)
        yield np.asarray(image)


def _first_frame(path: Path, track: str, limits: Limits, **options: object) -> tuple[dict[str, Any] | None, str]:
    """Facts of a track's first decoded frame (None where there is no such track), and all that ffmpeg said."""
    import ffmpeg

    frame_option = {"frames:a" if track.startswith("a") else "frames:v": 1}
    first = ffmpeg.output(open_input(path, limits)[track], "pipe:", format="framecrc", **frame_option, **options)
    facts, words = run(build_command(first), limits, f"ffmpeg cannot read {path}")
    if "Input #0" not in words:
        raise InputError(f"{path} is not a recording that ffmpeg can read: {error_line(words)}", REPAIR_HINT)
    return _framecrc(facts), words


def _duration(words: str) -> float:
    """The length in seconds that a file claims, 0 if it does not."""
    claimed = re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", words)
    parts = claimed.groups() if claimed else ("0", "0", "0")
    return sum(float(part) * scale for part, scale in zip(parts, (3600, 60, 1), strict=True))


def _framecrc(text: str) -> dict[str, Any] | None:
    facts: dict[str, Any] = dict(re.findall(r"^#(\w+) 0: (.+)$", text, re.MULTILINE))
    packet = re.search(r"^0,\s*-?\d+,\s*(-?\d+),\s*(\d+),\s*(\d+)", text, re.MULTILINE)
    if packet is None:
        return None
    pts, facts["duration"], facts["size"] = map(int, packet.groups())
    numerator, denominator = map(int, facts["tb"].split("/"))
    return facts | {"start": pts * numerator / denominator}


def _audio_stream(facts: dict[str, Any] | None) -> AudioStream | None:
    if facts is None or "sample_rate" not in facts:
        return None
    layout = re.fullmatch(r"(?:\d+ channels \()?([\w.+-]+(?:\([\w-]+\))?)\)?", facts.get("channel_layout_name", ""))
    num_channels = facts["size"] // (2 * facts["duration"])
    return AudioStream(int(facts["sample_rate"]), num_channels, facts["start"], layout[1] if layout else "")


def _video_stream(facts: dict[str, Any] | None) -> VideoStream | None:
    if facts is None or "dimensions" not in facts:
        return None
    width, height = map(int, facts["dimensions"].split("x"))
    return VideoStream(width, height, facts["start"])


def _y4m_size(header: bytes) -> tuple[int, int]:
    found = re.match(rb"YUV4MPEG2 W(\d+) H(\d+) ", header)
    return (int(found[1]), int(found[2])) if found else (0, 0)
