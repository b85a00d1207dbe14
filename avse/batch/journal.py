"""``results.jsonl``: one line for each item as it ends, seen to the disk; one writer at a time."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from avse import files
from avse.errors import MissingError, UsageError

NAME = "results.jsonl"
LOCK = ".avse-batch.lock"


class Journal:
    """The lines of a results folder; a line torn by a crash is dropped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._length, self.rows = _read(self.path)

    def last(self) -> dict[str, dict[str, Any]]:
        """The latest row of each item, by its name."""
        return {row["item"]: row for row in self.rows}

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line and see it to the disk. MissingError, and the file as before, if there is no space."""
        line = files.to_json(row).encode() + b"\n"
        try:
            with self.path.open("ab", buffering=0) as file:
                file.truncate(self._length)
                try:
                    if file.write(line) != len(line):
                        raise OSError("no space for a whole line")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(self._length)
                    raise
        except OSError as error:
            reason = error.strerror or error
            raise MissingError(f"{self.path} cannot be written: {reason}.", "See that there is space.") from error
        self._length += len(line)
        self.rows.append(dict(row))


def _read(path: Path) -> tuple[int, list[dict[str, Any]]]:
    """How many bytes of the file are whole lines, and what they say."""
    data = path.read_bytes() if path.exists() else b""
    length = data.rfind(b"\n") + 1
    rows = []
    for line in data[:length].splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "item" in row:
            rows.append(row)
    return length, rows


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder and hold it alone. The lock ends with the process, however that ends.

    Raises UsageError if another batch holds it, or if it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        message = f"The folder {folder} cannot be written to: {error.strerror}."
        raise UsageError(message, "Choose another folder.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "another process"
            hint = "Wait until it ends, stop it, or choose another folder."
            raise UsageError(f"A batch is writing to {folder} already: {owner}.", hint) from None
        except OSError as error:
            message = f"The folder {folder} knows no locks: {error.strerror}."
            raise MissingError(message, "Give --results a folder on a local disk.") from error
        try:
            file.truncate(0)
            since = datetime.now().astimezone().isoformat(" ", "seconds")
            file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}")
            file.flush()
            yield
        except OSError as error:
            raise MissingError(f"{folder} cannot be written: {error.strerror}.", "See that there is space.") from error
