"""Recordings in and out, by ffmpeg: probe, decode sound, decode pictures, write sound, put sound back under a picture.

Everything is streamed over pipes in formats that describe themselves (framecrc, raw floats, YUV4MPEG2), so that no
ffprobe is needed and nothing is held in memory. A recording is untrusted: no shell, files and pipes only.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from avse.config import VIDEO_FPS
from avse.errors import InputError, MissingError

WHITELIST = "file,pipe"


@dataclass(frozen=True)
class Sound:
    """The first sound track: rate in Hz, channels, and when it starts on the file's own clock in seconds."""

    sample_rate: int
    num_channels: int
    start_seconds: float


@dataclass(frozen=True)
class Picture:
    """The first picture track as displayed (rotated, square pixels), and when it starts on the file's own clock."""

    width: int
    height: int
    start_seconds: float


@dataclass(frozen=True)
class Media:
    """A recording: where it is, how long it claims to be (0 if it does not say), and its two tracks."""

    path: Path
    duration_seconds: float
    sound: Sound | None
    picture: Picture | None


@cache
def ffmpeg_exe() -> str:
    """The machine's ffmpeg, or the one inside imageio-ffmpeg where there is none."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise MissingError("No ffmpeg on this machine.", "Type: pip install imageio-ffmpeg") from error


def probe(path: str | Path) -> Media:
    """Look into a recording by decoding the first frame of each track."""
    path = Path(path)
    sound, duration = _first_frame(path, "a:0", acodec="pcm_s16le")
    picture, _ = _first_frame(path, "V:0", vf=_DISPLAYED, vcodec="rawvideo", pix_fmt="gray")
    return Media(path, duration, _sound(sound), _picture(picture))


def sound_blocks(media: Media, block_seconds: float, sample_rate: int, num_channels: int) -> Iterator[np.ndarray]:
    """Decode the sound in blocks of float32 (N, C), the last one shorter than the others, and perhaps empty."""
    arguments = _output(media.path, "a:0", "pipe:", format="f32le", ar=sample_rate, ac=num_channels)
    num_bytes = round(block_seconds * sample_rate) * num_channels * 4
    with _running(arguments, f"ffmpeg cannot read {media.path}", _REPAIR) as pipe:
        is_last = False
        while not is_last:
            data = pipe.read(num_bytes)
            is_last = len(data) < num_bytes
            usable = len(data) - len(data) % (4 * num_channels)
            yield np.frombuffer(data[:usable], dtype="<f4").reshape(-1, num_channels)


def read_sound(media: Media, sample_rate: int = 16000, num_channels: int = 1) -> np.ndarray:
    """Decode the whole sound: float32 (N, C)."""
    return np.concatenate(list(sound_blocks(media, 10.0, sample_rate, num_channels)))


def frames(media: Media, crop: tuple[int, int, int, int] | None = None, max_side: int | None = None) -> Iterator[Any]:
    """Decode the picture as grey uint8 (H, W) at exactly 25 fps, frame 0 where the *sound* starts.

    ``crop`` is (left, top, width, height) in displayed pixels; ``max_side`` shrinks the longer side to at most that.
    A picture that begins after the sound is padded in front with its first frame.
    """
    start = media.sound.start_seconds if media.sound else media.picture.start_seconds if media.picture else 0.0
    chain = [f"fps={VIDEO_FPS}:start_time={start:.6f}", _DISPLAYED]
    if crop:
        left, top, width, height = crop
        chain.append(f"crop={width}:{height}:{left}:{top}:exact=1")
    if max_side:
        chain.append(f"scale='min(1,{max_side}/max(iw,ih))*iw':'min(1,{max_side}/max(iw,ih))*ih':flags=area")
    arguments = _output(
        media.path, "V:0", "pipe:", vf=",".join(chain), pix_fmt="gray", format="yuv4mpegpipe", strict=-1,
        fps_mode="passthrough",
    )  # fmt: skip
    with _running(arguments, f"ffmpeg cannot read {media.path}", _REPAIR) as pipe:
        width, height = _y4m_size(pipe.readline())
        while pipe.readline().startswith(b"FRAME"):
            data = pipe.read(width * height)
            if len(data) < width * height:
                return
            yield np.frombuffer(data, np.uint8).reshape(height, width)


def replace_sound(media: Media, sound: Path, output: Path) -> None:
    """Write ``output`` with the picture of ``media`` copied bit by bit and ``sound`` in place of its sound.

    Raises InputError where files of that kind cannot hold that picture.
    """
    import ffmpeg

    assert media.sound is not None
    assert media.picture is not None
    delay = media.sound.start_seconds - min(media.sound.start_seconds, media.picture.start_seconds)
    codec = {"acodec": "flac"} if output.suffix.lower() == ".mkv" else {"acodec": "aac", "audio_bitrate": "192k"}
    picture = ffmpeg.input(f"file:{media.path}", protocol_whitelist=WHITELIST)
    speech = ffmpeg.input(f"file:{sound}", itsoffset=f"{delay:.6f}")
    joined = ffmpeg.output(picture["V:0"], speech["a:0"], f"file:{output}", vcodec="copy", **codec)
    arguments = [*joined.compile(cmd=ffmpeg_exe(), overwrite_output=True), *_QUIET]
    failure = f"The picture of {media.path} cannot be put into a {output.suffix} file"
    with _running(arguments, failure, "Use .mkv, which holds any picture, and see that there is space on the disk."):
        pass


_QUIET = ("-hide_banner", "-nostdin", "-loglevel", "error")
_DISPLAYED = "scale=trunc(iw*sar):ih,setsar=1"


def _output(path: Path, track: str, target: str, **options: object) -> list[str]:
    """The ffmpeg command that decodes one track on the file's own clock."""
    import ffmpeg

    source = ffmpeg.input(f"file:{path}", copyts=None, protocol_whitelist=WHITELIST)
    return [*ffmpeg.output(source[track], target, **options).compile(cmd=ffmpeg_exe()), "-hide_banner", "-nostdin"]


@contextlib.contextmanager
def _running(arguments: list[str], failure: str, hint: str) -> Iterator[IO[bytes]]:
    """Run ffmpeg and yield its standard output; its own words end the message of an error. Killed if left early."""
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words)
        assert process.stdout is not None
        try:
            yield process.stdout
            if process.wait() != 0:
                words.seek(0)
                raise InputError(f"{failure}: {_last_words(words.read())}", hint)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


_REPAIR = "Check that it plays; a broken file can often be repaired with: ffmpeg -i FILE -c copy REPAIRED.mkv"


def _last_words(stderr: bytes) -> str:
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    blamed = [line for line in lines if "Error" in line or "Invalid" in line or "not found" in line]
    return re.sub(r"^\[[^]]*\]\s*", "", (blamed or lines or ["no reason given"])[0])[:200]


def _first_frame(path: Path, track: str, **options: object) -> tuple[dict[str, Any] | None, float]:
    """Facts of a track's first decoded frame (None where there is no such track) and the file's claimed duration."""
    frame_option = {"frames:a" if track.startswith("a") else "frames:v": 1}
    arguments = _output(path, track, "pipe:", format="framecrc", **frame_option, **options)
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    words = done.stderr.decode(errors="replace")
    if "Input #0" not in words:
        raise InputError(f"{path} is not a recording that ffmpeg can read: {_last_words(done.stderr)}", _REPAIR)
    claimed = re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", words)
    duration = sum(float(part) * 60**power for part, power in zip(claimed.groups(), (2, 1, 0))) if claimed else 0.0  # noqa: B905
    return _framecrc(done.stdout.decode()), duration


def _framecrc(text: str) -> dict[str, Any] | None:
    facts: dict[str, Any] = dict(re.findall(r"^#(\w+) 0: (.+)$", text, re.MULTILINE))
    packet = re.search(r"^0,\s*-?\d+,\s*(-?\d+),\s*(\d+),\s*(\d+)", text, re.MULTILINE)
    if packet is None:
        return None
    pts, facts["duration"], facts["size"] = map(int, packet.groups())
    numerator, denominator = map(int, facts["tb"].split("/"))
    return facts | {"start": pts * numerator / denominator}


def _sound(facts: dict[str, Any] | None) -> Sound | None:
    if facts is None or "sample_rate" not in facts:
        return None
    return Sound(int(facts["sample_rate"]), facts["size"] // (2 * facts["duration"]), facts["start"])


def _picture(facts: dict[str, Any] | None) -> Picture | None:
    if facts is None or "dimensions" not in facts:
        return None
    width, height = map(int, facts["dimensions"].split("x"))
    return Picture(width, height, facts["start"])


def _y4m_size(header: bytes) -> tuple[int, int]:
    found = re.match(rb"YUV4MPEG2 W(\d+) H(\d+) ", header)
    return (int(found[1]), int(found[2])) if found else (0, 0)
