"""ffmpeg on recordings that nobody vouches for.

No shell; files and pipes only; ordinary containers only, none of which names other files; frames, lengths and sizes
have limits; a decoder that gives nothing for too long is stopped.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import select
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, BinaryIO

from avse.errors import InputError, MissingError

QUIET = ("-loglevel", "error")


_log = logging.getLogger(__name__)

CONTAINERS = (
    "aac,ac3,aiff,amr,asf,au,avi,caf,dts,dv,eac3,flac,flv,gxf,h264,hevc,ivf,live_flv,m4v,matroska,mov,mp3,mpeg,mpegts,"
    "mpegvideo,mxf,nut,ogg,tta,voc,w64,wav,webm,wv"
)
"""Demuxers that may be used. Playlists and scripts (hls, dash, concat, sdp, image2, ...) can name other files."""

REPAIR_HINT = "Check that it plays; a broken file can often be repaired with: ffmpeg -i FILE -c copy REPAIRED.mkv"


@dataclass(frozen=True)
class Limits:
    """What a recording may ask for: length, size of the file, size of the picture, silence of the decoder."""

    max_seconds: float = 24 * 3600.0
    max_megabytes: float = 200_000.0
    max_pixels: int = 2**26
    patience_seconds: float = 60.0

    def check_seconds(self, path: Path, seconds: float) -> None:
        """InputError for a recording of that length, or one that has gone on for so long."""
        if seconds > self.max_seconds:
            raise InputError(
                f"{path} is longer than {self.max_seconds:g} s.", "Allow more with --max-seconds, or cut it first."
            )

    def check_size(self, path: Path, num_bytes: int) -> None:
        """InputError for a file of that size, or a stream of which so much has come."""
        if num_bytes > self.max_megabytes * 1e6:
            raise InputError(f"{path} is larger than {self.max_megabytes:g} MB.", "Allow more with --max-megabytes.")


DEFAULT_LIMITS = Limits()
_MAX_OUTPUT_BYTES = 1 << 22
"""Bytes of what ffmpeg says that are read: a broken file can make it say gigabytes."""
_TO_PRIVATE_USE = {0xDC00 + byte: 0x10FF00 + byte for byte in range(128, 256)}
_FROM_PRIVATE_USE = {stand_in: surrogate for surrogate, stand_in in _TO_PRIVATE_USE.items()}


@contextlib.contextmanager
def local_file(recording: str | Path | BinaryIO, limits: Limits) -> Iterator[Path]:
    """The path of a recording; a stream is stored in a temporary file for the time being, as ffmpeg must seek in it."""
    if isinstance(recording, str | Path):
        yield Path(recording)
        return
    with tempfile.TemporaryDirectory(prefix="avse-") as folder:
        path = Path(folder, "standard-input")
        with path.open("wb") as file:
            while data := recording.read(1 << 20):
                file.write(data)
                limits.check_size(path, file.tell())
        yield path


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


def open_input(path: Path, limits: Limits, **options: object) -> Any:
    """A recording as an ffmpeg-python input, on its own clock, that can reach nothing else."""
    import ffmpeg

    return ffmpeg.input(
        file_url(path), copyts=None, protocol_whitelist="file,pipe", format_whitelist=CONTAINERS,
        max_pixels=limits.max_pixels, **options,
    )  # fmt: skip


def build_command(stream: Any, *options: str) -> list[str]:
    """The arguments that run an ffmpeg-python output."""
    arguments = [argument.translate(_FROM_PRIVATE_USE) for argument in stream.compile(cmd=ffmpeg_exe())]
    return [*arguments, "-hide_banner", "-nostdin", *options]


def file_url(path: Path) -> str:
    """The name of a file for ffmpeg-python, which stumbles over bytes that are no text: private characters for them."""
    return f"file:{path}".translate(_TO_PRIVATE_USE)


@contextlib.contextmanager
def stream_output(arguments: list[str], limits: Limits, failure: str, hint: str = REPAIR_HINT) -> Iterator[IO[bytes]]:
    """Run ffmpeg and yield its standard output; its own words end the message of an error. Killed if left early.

    It has a session of its own, so that Ctrl-C reaches only the one who asked for it.
    """
    _log.debug("%s", shlex.join(arguments))
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=words, start_new_session=True
        )
        assert process.stdout is not None
        try:
            yield io.BufferedReader(_TimedPipe(process.stdout.fileno(), limits.patience_seconds, failure), 1 << 16)
            if process.wait(limits.patience_seconds) != 0:
                words.seek(0)
                raise InputError(f"{failure}: {error_line(words.read(_MAX_OUTPUT_BYTES))}", hint)
        except subprocess.TimeoutExpired as error:
            raise _stalled(failure, limits.patience_seconds) from error
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def run(arguments: list[str], limits: Limits, failure: str) -> tuple[str, str]:
    """Run ffmpeg to its end, however it ends: its standard output and its words."""
    _log.debug("%s", shlex.join(arguments))
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as words:
        try:
            subprocess.run(
                arguments, stdin=subprocess.DEVNULL, stdout=told, stderr=words, check=False, start_new_session=True,
                timeout=limits.patience_seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise _stalled(failure, limits.patience_seconds) from error
        told.seek(0), words.seek(0)
        return told.read(_MAX_OUTPUT_BYTES).decode(errors="replace"), words.read(_MAX_OUTPUT_BYTES).decode(
            errors="replace"
        )


def feed(arguments: Sequence[str], chunks: Iterable[bytes], failure: str) -> None:
    """Run ffmpeg with chunks on its standard input; InputError with what it printed if it fails."""
    command = [ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *arguments]
    with tempfile.TemporaryFile() as words:
        with (
            subprocess.Popen(command, stdin=subprocess.PIPE, stderr=words) as encoder,
            contextlib.suppress(BrokenPipeError),
        ):
            assert encoder.stdin is not None
            for chunk in chunks:
                encoder.stdin.write(chunk)
            encoder.stdin.close()
        if encoder.returncode:
            words.seek(0)
            raise InputError(failure, words.read(_MAX_OUTPUT_BYTES).decode(errors="replace").strip())


def error_line(stderr: str | bytes) -> str:
    """The line in which ffmpeg says what was wrong."""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr
    lines = [line for line in text.splitlines() if line.strip()]
    if any("not on whitelist" in line for line in lines):
        return "a list of other files, or of no kind that recordings have"
    blamed = [line for line in lines if "Error" in line or "Invalid" in line or "not found" in line]
    return re.sub(r"^\[[^]]*\]\s*", "", (blamed or lines or ["no reason given"])[0])[:200]


class _TimedPipe(io.RawIOBase):
    """A pipe that is read with patience, but not for ever."""

    def __init__(self, descriptor: int, seconds: float, failure: str) -> None:
        self._descriptor, self._seconds, self._failure = descriptor, seconds, failure

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        ready, _, _ = select.select([self._descriptor], [], [], self._seconds)
        if not ready:
            raise _stalled(self._failure, self._seconds)
        return os.readv(self._descriptor, [buffer])


def _stalled(failure: str, seconds: float) -> InputError:
    return InputError(f"{failure}: nothing came out of it for {seconds:g} s", REPAIR_HINT)
