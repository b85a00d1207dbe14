"""``-`` for standard input and standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from avse.errors import UsageError

PIPE = Path("-")


def open_ends(recording: Path, output: Path) -> tuple[Path | BinaryIO, Path | BinaryIO]:
    """The two paths, or the streams that ``-`` stands for; UsageError where one of them is a terminal."""
    source: Path | BinaryIO = sys.stdin.buffer if recording == PIPE else recording
    target: Path | BinaryIO = sys.stdout.buffer if output == PIPE else output
    if recording == PIPE and sys.stdin.isatty():
        raise UsageError("There is no recording on standard input.", "Redirect one: avse enhance - -o out.wav < in.mp4")
    if output == PIPE and sys.stdout.isatty():
        raise UsageError("Cannot write audio to a terminal.", "Pipe it: avse enhance in.mp4 -o - | aplay")
    return source, target
