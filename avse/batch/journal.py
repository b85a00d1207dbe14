"""``results.jsonl``: one line for each item as it ends, seen to the disk. It is for one writer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avse.errors import MissingError
from avse.io import jsonl

NAME = "results.jsonl"


class Journal:
    """The lines of a results folder; a line torn by a crash is dropped."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._length, rows = jsonl.read_jsonl(self.path)
        self.rows = [row for row in rows if "item" in row]

    def last(self) -> dict[str, dict[str, Any]]:
        """The latest row of each item, by its name."""
        return {row["item"]: row for row in self.rows}

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line and see it to the disk. MissingError, and the file as before, if there is no space."""
        line = jsonl.to_json(row).encode() + b"\n"
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
