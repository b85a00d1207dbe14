"""The tables of a folder of mixtures: mixtures.csv, the part written so far, and bad.csv."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path

from avse.config import SAMPLE_RATE
from avse.data.mixtures.recipes import Mixture
from avse.data.mixtures.request import FOLDERS, MixtureRequest
from avse.io import csv_files
from avse.io.folders import check_own_file

COLUMNS = ("item", "role", "speaker", "file", "offset_seconds", "start_seconds", "seconds", "level_db")
TABLE, PART, BAD = "mixtures.csv", "mixtures.part.csv", "bad.csv"
REPAIR = "Correct that line, or use --force to start again."
HEADS = ("source", "problem")
Row = dict[str, str]
Problem = tuple[str, str]
"""A clip or a mixture, and what is wrong with it."""


def describe_mixture(name: str, mixture: Mixture, request: MixtureRequest) -> list[Row]:
    """Return the rows of a mixture; files are relative to the folder of the clips, or of the noise."""
    rows = []
    for part in mixture.parts:
        file = part.file.relative_to(request.noise if part.role == "noise" and request.noise else request.source)
        seconds = [f"{samples / SAMPLE_RATE:.7f}" for samples in (part.offset, part.start, part.length)]
        values = (name, part.role, part.speaker, file.as_posix(), *seconds, repr(round(part.level_db, 6)))
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def read_rows(folder: Path) -> dict[str, list[Row]]:
    """Read rows by item, of a finished or an interrupted run.

    An incomplete last line is left out with its item; UsageError for any other invalid line.
    """
    found: dict[str, list[Row]] = {}
    for name in (TABLE, PART):
        path = folder / name
        check_own_file(path)
        text = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
        by_item: dict[str, list[Row]] = {}
        whole = text[: text.rfind("\n") + 1]
        for line, values in csv_files.parse_csv(path, whole, REPAIR, len(COLUMNS)):
            if tuple(values) != COLUMNS:
                row = dict(zip(COLUMNS, values, strict=True))
                _check_row(path, line, row)
                by_item.setdefault(row["item"], []).append(row)
        if whole != text and by_item:
            by_item.popitem()
        found |= by_item
    return found


def _check_row(path: Path, line: int, row: Row) -> None:
    """Raise UsageError for a row that `avse mix` does not write."""
    if not row["item"] or "/" in row["item"] or row["role"] not in FOLDERS or not row["file"]:
        csv_files.refuse_row(path, line, "it does not describe a part of a mixture", REPAIR)
    for name in ("offset_seconds", "start_seconds", "seconds", "level_db"):
        try:
            is_fine = math.isfinite(float(row[name]))
        except ValueError:
            is_fine = False
        if not is_fine:
            csv_files.refuse_row(path, line, f"its {name} is {row[name]!r}", REPAIR)


def to_csv(rows: Sequence[Row]) -> str:
    """Return rows as CSV, in the order of `COLUMNS`."""
    return csv_files.to_csv([[row[name] for name in COLUMNS] for row in rows])


def read_skipped(folder: Path, sources: Collection[str]) -> list[Problem]:
    """Read which of the clips and noises (``sources``) earlier runs skipped, and why; failed mixtures are not read."""
    if not (folder / BAD).exists():
        return []
    rows = csv_files.read_csv(folder / BAD, REPAIR, len(HEADS))
    return [(source, problem) for _, (source, problem) in rows[1:] if source in sources]


def write_problems(folder: Path, problems: Collection[Problem]) -> None:
    """Write the table of the clips and mixtures that could not be used; none if there are none."""
    if problems:
        csv_files.write_csv(folder / BAD, [HEADS, *sorted(problems)], raw_names=True)
    else:
        (folder / BAD).unlink(missing_ok=True)


def write_table(folder: Path, rows: Sequence[Row]) -> None:
    """Write the table of all parts in place of the part written so far."""
    csv_files.write_csv(folder / TABLE, [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)], raw_names=True)
    (folder / PART).unlink()
