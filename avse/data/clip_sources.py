"""Tell which recordings the prepared clips of a cache came from: ``sources.jsonl`` has the size of each in bytes.

Recordings in two folders may have the same names, and one folder may be given by another path; sizes tell them apart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from avse.io import jsonl

SOURCES = "sources.jsonl"


class ClipSources:
    """Know the recordings of the clips in a cache, as far as they were noted; UsageError for a damaged list."""

    def __init__(self, cache: Path) -> None:
        self._path = cache / SOURCES
        self._length, rows = jsonl.read_jsonl(self._path, _problem_of)
        self._sizes: dict[str, int] = {row["clip"]: row["bytes"] for row in rows}

    def problem(self, source: Path, target: Path) -> str:
        """Say that a clip that is there came from another recording than ``source``; nothing if it may be the same."""
        known = self._sizes.get(_name(target))
        if known is None or known == source.stat().st_size:
            return ""
        return f"{target} is there already, made from another recording with that name ({known} bytes)."

    def add(self, source: Path, target: Path) -> None:
        """Note the recording of a clip; a last line torn by a crash is cut off first."""
        size = source.stat().st_size
        line = (jsonl.to_json({"clip": _name(target), "bytes": size}) + "\n").encode()
        with self._path.open("ab") as file:
            file.truncate(self._length)
            file.write(line)
        self._length += len(line)
        self._sizes[_name(target)] = size


def _name(target: Path) -> str:
    """Return the name of a clip in its cache, whichever form it has there: SPEAKER/CLIP.npz."""
    return "/".join(target.parts[-2:])


def _problem_of(row: dict[str, Any]) -> str:
    """Return what is wrong with a row; nothing if it is valid."""
    is_valid = isinstance(row.get("clip"), str) and type(row.get("bytes")) is int
    return "" if is_valid else "it does not name a clip and a number of bytes"
