"""Keep ``results.jsonl``: one line for each item as it ends, flushed to the disk. It is for one writer."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from avse.batch.rows import Row
from avse.errors import MissingError
from avse.io import jsonl
from avse.io.folders import open_own_file
from avse.io.schema import is_number, is_text, list_of, mapping_of, one_of, optional, problem_of

NAME = "results.jsonl"
REPAIR = "Remove that line, or move the file away; finished recordings are then found by their outputs."
REQUIRED = {"item": is_text, "status": one_of("done", "skipped", "failed")}
OTHERS = {
    **dict.fromkeys(("source", "output", "error", "hint", "note", "model", "host", "finished"), optional(is_text)),
    **dict.fromkeys(("options_fingerprint", "source_fingerprint"), optional(is_text)),
    **dict.fromkeys(
        ("attempts", "elapsed_seconds", "duration_seconds", "num_faces", "seen_share"), optional(is_number)
    ),
    "losses": optional(list_of(is_text)),
    "may_replace": optional(lambda value: isinstance(value, bool)),
    "scores": optional(lambda value: _are_scores(value)),
}


class Journal:
    """Read and append the rows of a results folder. A torn last line is dropped; other damage is a UsageError."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._length, rows = jsonl.read_jsonl(self.path, check_row, REPAIR)
        self.rows = cast("list[Row]", rows)

    def last(self) -> dict[str, Row]:
        """Return the latest row of each item, by its name."""
        return {row["item"]: row for row in self.rows}

    def append(self, row: Row) -> None:
        """Add a line and flush it to the disk. MissingError, and the file as before, if there is no space."""
        line = jsonl.to_json(row).encode() + b"\n"
        try:
            with open_own_file(self.path) as file:
                file.truncate(self._length)
                try:
                    if file.write(line) != len(line):
                        raise OSError("no space for a complete line")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(self._length)
                    raise
        except OSError as error:
            reason = error.strerror or error
            raise MissingError(f"{self.path} cannot be written: {reason}.", "Free some disk space.") from error
        self._length += len(line)
        self.rows.append(row.copy())


def check_row(row: Mapping[str, Any]) -> str:
    """Return what is wrong with a row of a batch; nothing if it is valid."""
    return problem_of(row, REQUIRED, OTHERS)


def _are_scores(value: Any) -> bool:
    """Return whether a value is scores before and after, scores after alone, or a reason why there are none."""
    if not isinstance(value, dict):
        return False
    values = mapping_of(optional(is_number))
    rest = {key: item for key, item in value.items() if key not in ("before", "after", "reason", "reasons")}
    is_readable = isinstance(value.get("reasons", {}), dict) and is_text(value.get("reason", ""))
    return is_readable and values(rest) and all(values(value[key]) for key in ("before", "after") if key in value)
