"""Rows of a benchmark in a file of JSON lines, kept as they come, so that a run can be resumed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from avse.io.jsonl import read_jsonl


def fingerprint(*groups: Iterable[Path]) -> str:
    """Return what tells these files from others: a hash of their names, with two folders above them, and sizes."""
    facts = [sorted((*path.parts[-3:], path.stat().st_size) for path in group) for group in groups]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def of_data(rows: Iterable[dict[str, Any]], data: str) -> list[dict[str, Any]]:
    """Return the rows of data with this `fingerprint`; rows of earlier versions, which name none, count as such."""
    return [row for row in rows if row.get("data", data) == data]


@contextmanager
def open_rows(path: Path) -> Iterator[TextIO]:
    """Open a file to which `write_rows` adds; a last line that a crash has torn is cut off."""
    length, _ = read_jsonl(path)
    with path.open("a", encoding="utf-8") as file:
        file.truncate(length)
        yield file


def write_rows(file: TextIO, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows that belong together, and write them to the disk at once."""
    file.write("".join(json.dumps(row) + "\n" for row in rows))
    file.flush()
