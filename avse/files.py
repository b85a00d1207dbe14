"""Files that exist only when they are whole, folders that one process alone writes to, and results as JSON."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from avse.errors import MissingError, UsageError, printable

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
def whole(path: Path) -> Iterator[Path]:
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


def open_for_names(path: Path) -> TextIO:
    """A new file for text with names of files in it, which may be any bytes."""
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
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


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values for machines; what is not a number becomes null."""
    with whole(path) as partial:
        partial.write_text(json.dumps(_plain(values), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_lines(path: Path) -> tuple[int, list[dict[str, Any]]]:
    """How many bytes of a file are whole lines, and the JSON objects in them; a line torn by a crash is left out."""
    data = path.read_bytes() if path.exists() else b""
    length = data.rfind(b"\n") + 1
    rows = []
    for line in data[:length].splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return length, [row for row in rows if isinstance(row, dict)]


def to_json(values: Mapping[str, Any]) -> str:
    """Values as one line of JSON."""
    return json.dumps(_plain(values), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return printable(value) if isinstance(value, Path) else value
