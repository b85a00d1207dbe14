"""Rows of a benchmark in a file of JSON lines, kept as they come, so that a run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from avse.io.jsonl import read_jsonl


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
