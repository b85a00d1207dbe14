"""Lock a folder for one process, and keep its outputs inside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from avse.errors import MissingError, UsageError
from avse.io.disk import creation_error
from avse.io.urls import check_local, is_loop

LOCK = ".avse.lock"


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make a folder and hold it alone. The lock ends with the process, however that ends; its file stays.

    Raises UsageError for a URL, or if another process holds it, or if it cannot be written to; MissingError on a full
    disk, and where there are no locks.
    """
    check_local(folder)
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open_own_file(folder / LOCK)
    except OSError as error:
        raise creation_error(folder, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read(200).decode(errors="replace") or "another process"
            hint = "Wait until it ends, stop it, or choose another folder."
            raise UsageError(f"{folder} is already in use: {owner}.", hint) from None
        except OSError as error:
            message = f"The folder {folder} does not support file locks: {error.strerror}."
            raise MissingError(message, "Choose a folder on a local disk.") from error
        with contextlib.suppress(OSError):  # a full disk: the lock works without this text
            file.truncate(0)
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}".encode())
        yield


def check_folder(folder: Path) -> None:
    """Raise UsageError for an output folder at whose place, or on the way to it, is a link that leads to no folder."""
    for place in (folder, *folder.parents):
        if place.exists():
            return
        if place.is_symlink():
            leads = "to itself" if is_loop(place) else "to nothing"
            raise UsageError(f"{place} is a symbolic link that leads {leads}.", "Remove it, or choose another folder.")


def open_own_file(path: Path) -> BinaryIO:
    """Open a file of an output folder for reading and appending; it is made if it is not there.

    Raises UsageError for a symbolic link, which is never followed, and for what is no file; OSError as usual.
    """
    check_own_file(path)
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return open(os.open(path, flags, 0o666), "ab+", buffering=0)


def check_own_file(path: Path) -> None:
    """Raise UsageError for a name in an output folder at which there is something other than a plain file."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise UsageError(f"{path} is a symbolic link, which is not followed.", "Remove it, or choose another folder.")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is not a file.", "Remove it, or choose another folder.")


def check_inside(path: Path, folder: Path) -> None:
    """Raise UsageError if a symbolic link lies between an output folder and a path in it, or at the path itself.

    The folder itself may be one.
    """
    at = folder
    for part in path.relative_to(folder).parts:
        at = at / part
        if at.is_symlink():
            raise UsageError(f"{at} is a symbolic link, which is not followed.", "Remove it, or choose another folder.")
