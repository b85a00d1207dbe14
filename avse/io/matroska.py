"""Demux audio from ffmpeg in Matroska (RFC 8794, RFC 9559), whose packets have time stamps, and fill gaps with silence.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np

from avse.errors import InputError
from avse.io.ffmpeg_binary import shell_command
from avse.io.ffmpeg_errors import REPAIR

MIN_GAP_SECONDS = 0.1
"""Resolution of recorders' timestamps; smaller gaps add up until they reach it."""

MAX_BACK_SECONDS, MAX_AHEAD_SECONDS = 5.0, 3600.0
"""Timestamps that jump further are wrong."""
MAX_DRIFT = 0.01
"""Largest lag of inexact timestamps behind the samples, per sample."""

_SEGMENT, _CLUSTER, _TIMESTAMP, _SIMPLE_BLOCK = 0x18538067, 0x1F43B675, 0xE7, 0xA3


def fill_gaps(pipe: IO[bytes], sample_rate: int, num_channels: int) -> Iterator[np.ndarray]:
    """Yield decoded audio in blocks (N, C) of 32-bit floats: nothing is dropped, and only silence is inserted.

    Values that are not finite count as silence. InputError if the time stamps jump by more than a recorder would miss.
    """
    yield np.zeros((0, num_channels), np.float32)  # audio without a packet is valid too
    begin, num_samples, behind = None, 0, 0.0
    for milliseconds, data in _packets(pipe):
        begin = milliseconds if begin is None else begin
        missing = (milliseconds - begin) * sample_rate // 1000 - num_samples
        jump_seconds = (missing - behind) / sample_rate
        if not -MAX_BACK_SECONDS <= jump_seconds <= MAX_AHEAD_SECONDS:
            raise _jump("forward" if jump_seconds > 0 else "backward")
        if missing > MIN_GAP_SECONDS * sample_rate:
            num_samples += missing
            for start in range(0, missing, sample_rate):
                yield np.zeros((min(missing - start, sample_rate), num_channels), np.float32)
            missing = 0
        samples = np.nan_to_num(np.frombuffer(data, "<f4"), nan=0.0, posinf=0.0, neginf=0.0)
        block = samples.reshape(-1, num_channels)
        num_samples += len(block)
        behind = max(missing, behind - MAX_DRIFT * len(block))
        yield block


def _jump(direction: str) -> InputError:
    hint = f"Parts of the file were joined byte by byte, or are missing. Repair it first: {shell_command(REPAIR)}"
    return InputError(f"The timestamps of the audio jump {direction}.", hint)


def _packets(pipe: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield time in milliseconds, and content, of every packet of a file of one track."""
    cluster_begins = 0
    while (name := _number(pipe, keep_marker=True)) is not None:
        size = _number(pipe)
        if name in (_SEGMENT, _CLUSTER):
            continue  # their contents follow
        content = pipe.read(size or 0)
        if len(content) < (size or 0):
            return
        if name == _TIMESTAMP:
            cluster_begins = int.from_bytes(content, "big")
        elif name == _SIMPLE_BLOCK:  # the track's number, time, flags
            yield cluster_begins + int.from_bytes(content[1:3], "big", signed=True), content[4:]


def _number(pipe: IO[bytes], keep_marker: bool = False) -> int | None:
    """Read a number of variable length, whose first set bit gives its length; None at the end."""
    first = pipe.read(1)
    if not first:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + pipe.read(length - 1), "big")
    return value if keep_marker else value - (1 << (7 * length))
