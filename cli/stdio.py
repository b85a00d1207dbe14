"""Standard input and output as ``-``, and replacements for closed standard streams."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from avse.errors import UsageError

PIPE = Path("-")
_closed: set[str] = set()


def replace_closed_streams() -> None:
    """Replace closed standard streams, as in daemons and cron jobs, by the null device.

    Otherwise, the next file that is opened would get the stream's file descriptor, and what is written to it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            _closed.add(name)
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def open_ends(recording: Path, output: Path) -> tuple[Path | BinaryIO, Path | BinaryIO]:
    """Return the two paths, or the streams for ``-``.

    Raises UsageError where one of these is a terminal, or closed.
    """
    for path, name in ((recording, "stdin"), (output, "stdout")):
        if path == PIPE and (name in _closed or getattr(sys, name) is None):
            words = {"stdin": "Standard input", "stdout": "Standard output"}[name]
            raise UsageError(f"{words} is closed.", "Use a file name, or leave the stream open.")
    source: Path | BinaryIO = sys.stdin.buffer if recording == PIPE else recording
    target: Path | BinaryIO = sys.stdout.buffer if output == PIPE else output
    if recording == PIPE and sys.stdin.isatty():
        raise UsageError("There is no recording on standard input.", "Redirect one: avse enhance - -o out.wav < in.mp4")
    if output == PIPE and sys.stdout.isatty():
        raise UsageError("Cannot write audio to a terminal.", "Pipe it: avse enhance in.mp4 -o - | aplay")
    return source, target
