"""Files that exist only when they are whole, folders that one process alone writes to, and results as JSON."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TextIO

from avse.errors import MissingError, UsageError

LOCK = ".avse.lock"


def check_output(path: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """UsageError if ``path`` cannot or must not be written; a file that is read is never replaced."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", "Name a file, such as clean.wav.")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist.", f"Make it first: mkdir -p '{path.parent}'")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"The folder {path.parent} cannot be written to.", "Choose another folder.")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already.", "Give --force to replace it, or another name.")
    if path.exists() and any(read.exists() and path.samefile(read) for read in inputs):
        raise UsageError(f"{path} is read, and never replaced, even with --force.", "Choose another name.")


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A new file beside ``path``, with its suffix; becomes ``path`` at the end, and vanishes on any failure."""
    partial = path.with_name(f".{path.stem[:20]}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        partial.touch()
        usual_mode = partial.stat().st_mode
        yield partial
        partial.chmod(usual_mode)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_for_filenames(path: Path) -> TextIO:
    """A new file for text with names of files in it, which may be any bytes."""
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make a folder and hold it alone. The lock ends with the process, however that ends; its file stays.

    Raises UsageError if another process holds it, or if it cannot be written to; MissingError where there are no locks.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("ab+", buffering=0)
    except OSError as error:
        message = f"The folder {folder} cannot be written to: {error.strerror}."
        raise UsageError(message, "Choose another folder.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().decode(errors="replace") or "another process"
            hint = "Wait until it ends, stop it, or choose another folder."
            raise UsageError(f"{folder} is being written to already: {owner}.", hint) from None
        except OSError as error:
            message = f"The folder {folder} knows no locks: {error.strerror}."
            raise MissingError(message, "Choose a folder on a local disk.") from error
        with contextlib.suppress(OSError):  # a full disk: the lock holds without these words
            file.truncate(0)
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}".encode())
        yield
