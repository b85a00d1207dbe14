"""Run ffmpeg on untrusted recordings.

No shell; files and pipes only; ordinary containers only, none of which names other files; frames, lengths, sizes,
memory and time have limits. Only this module starts ffmpeg.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import resource
import select
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

from avse.errors import InputError, MissingError
from avse.io import atomic
from avse.io.disk import TEMPORARY_HINT, unwritable
from avse.io.ffmpeg_binary import find_ffmpeg
from avse.io.ffmpeg_errors import NOT_STARTED, error_line, explain, lacks_memory, retry_hint
from avse.io.limits import DEFAULT_LIMITS, MEGABYTE, Limits

__all__ = [
    "CONTAINERS", "DEFAULT_LIMITS", "QUIET", "Limits", "ask", "build_command", "error_line", "feed",
    "ffmpeg_exe", "file_url", "input_arguments", "local_file", "open_input", "run", "stream_output",
]  # fmt: skip

QUIET = ("-loglevel", "error")

_log = logging.getLogger(__name__)

CONTAINERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,dv,eac3,flac,flv,gxf,h264,hevc,ivf,live_flv,m4v,matroska,mov,mp3,mpc,mpc8,"
    "mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,tta,voc,w64,wav,webm,wtv,wv"
)
"""Demuxers that may be used. Playlists and scripts (hls, dash, concat, sdp, image2, ...) can name other files."""

_MAX_OUTPUT_BYTES = 1 << 22
"""Bytes of ffmpeg's messages that are kept: a broken file can make it print gigabytes."""
_SIZE = 1 << 16
_PIPE_BYTES = 1 << 20
_PIPE_END_SECONDS = 10.0
"""Time to wait for the end of the messages after the process has ended."""
_TO_PRIVATE_USE = {0xDC00 + byte: 0x10FF00 + byte for byte in range(128, 256)}
_FROM_PRIVATE_USE = {stand_in: surrogate for surrogate, stand_in in _TO_PRIVATE_USE.items()}


@contextlib.contextmanager
def local_file(recording: str | Path | BinaryIO, limits: Limits) -> Iterator[Path]:
    """Yield the path of a recording; a stream is stored in a temporary file, as ffmpeg must seek in it.

    Raises:
        MissingError: no space for it in the folder of temporary files.
    """
    if isinstance(recording, str | Path):
        yield Path(recording)
        return
    with atomic.scratch_folder() as folder:
        path = folder / "standard-input"
        _store(recording, path, limits)
        yield path


def _store(stream: BinaryIO, path: Path, limits: Limits) -> None:
    with path.open("wb") as file:
        while data := stream.read(1 << 20):
            try:
                file.write(data)
                file.flush()
            except OSError as error:
                raise unwritable(path.parent.parent, error.strerror, TEMPORARY_HINT) from error
            limits.check_size(path, file.tell())


def ffmpeg_exe() -> str:
    """Return the path of the ffmpeg that is used; MissingError where there is none."""
    return find_ffmpeg().path


def open_input(path: Path, limits: Limits, **options: object) -> Any:
    """Return a recording as an ffmpeg-python input, on its own clock, that can reach nothing else."""
    import ffmpeg

    return ffmpeg.input(
        file_url(path), copyts=None, protocol_whitelist="file,pipe", format_whitelist=CONTAINERS,
        max_pixels=limits.max_pixels, **options,
    )  # fmt: skip


def input_arguments(path: Path, limits: Limits, *options: str) -> list[str]:
    """Return the same as arguments at the beginning of a command, for cases that ffmpeg-python does not cover."""
    return [
        ffmpeg_exe(), "-hide_banner", "-nostdin", "-copyts", "-protocol_whitelist", "file,pipe", "-format_whitelist",
        CONTAINERS, "-max_pixels", str(limits.max_pixels), *options, "-i", f"file:{path}",
    ]  # fmt: skip


def build_command(stream: Any, *options: str) -> list[str]:
    """Return the arguments that run an ffmpeg-python output."""
    arguments = [argument.translate(_FROM_PRIVATE_USE) for argument in stream.compile(cmd=ffmpeg_exe())]
    return [*arguments, "-hide_banner", "-nostdin", *options]


def file_url(path: Path) -> str:
    """Return a file's name for ffmpeg-python, which fails on bytes that are not text: other characters replace them."""
    return f"file:{path}".translate(_TO_PRIVATE_USE)


@contextlib.contextmanager
def stream_output(
    arguments: list[str],
    limits: Limits,
    failure: str,
    hint: str = "",
    *,
    bytes_per_second: float = float("inf"),
    on_messages: Callable[[str], None] | None = None,
) -> Iterator[IO[bytes]]:
    """Run ffmpeg and yield its standard output; an error message ends with ffmpeg's own message. Killed if left early.

    It has its own session, so that Ctrl-C reaches only the calling process. ``bytes_per_second`` is what a
    second of recording is on its output: the more comes out, the longer it may take. ``on_messages`` gets its messages.
    """
    with _running(arguments, limits) as (process, words):
        assert process.stdout is not None
        pipe = _TimedPipe(process.stdout.fileno(), limits, failure, bytes_per_second)
        try:
            yield io.BufferedReader(pipe, _SIZE)
            if _wait(process, limits, failure) != 0:
                raise explain(words.read(), failure, hint, process.returncode)
        finally:
            if on_messages:
                _kill(process)
                on_messages(words.read())


def run(arguments: list[str], limits: Limits, failure: str) -> tuple[str, str]:
    """Run ffmpeg to its end, however it ends, and return its standard output and its messages.

    Raises:
        MissingError: it does not start. InputError: it takes too long, or too much memory.
    """
    with _running(arguments, limits) as (process, words):
        assert process.stdout is not None
        facts = _PipeReader(process.stdout)
        _wait(process, limits, failure)
        text = words.read()
        if process.returncode and (process.returncode < 0 or process.returncode in NOT_STARTED or lacks_memory(text)):
            raise explain(text, failure, "", process.returncode)
        return facts.read(), text


def ask(*options: str) -> str:
    """Return what ffmpeg prints for options such as -version or -decoders. MissingError if it does not start."""
    return run([ffmpeg_exe(), "-hide_banner", *options], DEFAULT_LIMITS, "ffmpeg does not answer")[0]


def feed(arguments: Sequence[str], chunks: Iterable[bytes], failure: str) -> None:
    """Run ffmpeg with chunks on its standard input; InputError with what it printed if it fails."""
    command = [ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *arguments]
    with _start(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as encoder:
        assert encoder.stderr is not None
        assert encoder.stdin is not None
        words = _PipeReader(encoder.stderr)
        with contextlib.suppress(BrokenPipeError):
            for chunk in chunks:
                encoder.stdin.write(chunk)
        with contextlib.suppress(BrokenPipeError):
            encoder.stdin.close()
        if encoder.wait():
            raise InputError(failure, words.read().strip())


@contextlib.contextmanager
def _running(arguments: list[str], limits: Limits) -> Iterator[tuple[subprocess.Popen[bytes], _PipeReader]]:
    """Start ffmpeg within its limits, collect its messages, and end it."""
    _log.debug("%s", shlex.join(arguments))
    process = _start(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    _limit_memory(process.pid, limits.max_memory_megabytes)
    _enlarge_pipe(process.stdout)
    words = _PipeReader(process.stderr)
    try:
        yield process, words
    finally:
        _kill(process)
        process.wait()
        words.read()
        process.stdout.close()
        process.stderr.close()


def _enlarge_pipe(pipe: IO[bytes]) -> None:
    """Enlarge the buffer of a pipe, so that a large frame passes in few reads; ignored if the system refuses."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill ffmpeg and, if AVSE_FFMPEG is a script, its children: all processes of its session."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _start(arguments: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(arguments, **options)
    except OSError as error:
        message = f"ffmpeg does not start ({arguments[0]}): {error.strerror}."
        raise MissingError(message, find_ffmpeg().remedy) from error


def _limit_memory(pid: int, megabytes: float) -> None:
    """Limit the memory of a process; from outside, as code between fork and exec is not safe with threads."""
    num_bytes = int(megabytes * MEGABYTE)
    if hasattr(resource, "prlimit"):
        with contextlib.suppress(OSError, ValueError):  # it has already ended, or has a lower limit
            resource.prlimit(pid, resource.RLIMIT_DATA, (num_bytes, num_bytes))


def _wait(process: subprocess.Popen[bytes], limits: Limits, failure: str) -> int:
    """Wait for ffmpeg in a thread: `Popen.wait` with a time limit looks only every 50 ms."""
    began = time.monotonic()
    waiting = threading.Thread(target=process.wait, daemon=True)
    try:
        waiting.start()
        waiting.join(limits.patience_seconds)
    finally:
        _count_time(limits, time.monotonic() - began, failure)
    if process.returncode is None:
        raise _stalled(failure, limits.patience_seconds)
    return process.returncode


def _count_time(limits: Limits, seconds: float, failure: str) -> None:
    """Count the time of ffmpeg; InputError if it is too long for one recording."""
    if limits.budget is not None:
        limits.budget.spend(seconds)
        if limits.budget.is_exceeded:
            raise InputError(f"{failure}: decoding took more than {limits.budget.seconds:.0f} s in total", retry_hint())


class _PipeReader:
    """Read a pipe to its end in a thread, and keep its beginning."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._kept = pipe, bytearray()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # closed meanwhile
            while data := os.read(self._pipe.fileno(), _SIZE):
                self._kept += data[: max(_MAX_OUTPUT_BYTES - len(self._kept), 0)]

    def read(self) -> str:
        """Wait for the end of the pipe, and return its beginning as text."""
        self._thread.join(_PIPE_END_SECONDS)
        return self._kept.decode(errors="replace")


class _TimedPipe(io.RawIOBase):
    """Read a pipe with a time-out."""

    def __init__(self, descriptor: int, limits: Limits, failure: str, bytes_per_second: float) -> None:
        self._descriptor, self._limits, self._failure = descriptor, limits, failure
        self._bytes_per_second = bytes_per_second

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        began = time.monotonic()
        ready, _, _ = select.select([self._descriptor], [], [], self._limits.patience_seconds)
        if not ready:
            raise _stalled(self._failure, self._limits.patience_seconds)
        size = os.readv(self._descriptor, [buffer])
        self._limits.grant(size / self._bytes_per_second)
        _count_time(self._limits, time.monotonic() - began, self._failure)
        return size


def _stalled(failure: str, seconds: float) -> InputError:
    return InputError(f"{failure}: it produced no output for {seconds:g} s", retry_hint())
