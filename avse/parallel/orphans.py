"""End the children of a dead worker, also those in other sessions, which signals to its group do not reach."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_NAME = "AVSE_WORKER"


def mark_children(mark: str) -> None:
    """Set a mark in the environment of every program that this process starts from now on."""
    os.environ[_NAME] = mark


def kill_marked(mark: str) -> None:
    """Kill all programs that carry a mark, except this process. Does nothing without /proc (macOS)."""
    for pid in _marked(f"{_NAME}={mark}".encode()):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # orphans are children of this process if it is the first in a container
            os.waitpid(pid, 0)


def _marked(variable: bytes) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is another user's
            if variable in (folder / "environ").read_bytes().split(b"\0") and int(folder.name) != os.getpid():
                yield int(folder.name)
