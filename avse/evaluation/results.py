"""Rows of an evaluation on disk: a line of JSON each, appended as they end, so that a run goes on where it stopped."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from avse.errors import UsageError
from avse.evaluation.statistics import UNPROCESSED, ScoreTable, score_of
from avse.io import atomic, jsonl

Row = dict[str, Any]
Key = tuple[str, str, str]

ROWS, SETTINGS, TABLE, SUMMARY = "results.jsonl", "settings.json", "scores.csv", "summary.json"


def key(row: Mapping[str, Any]) -> Key:
    """What a row is about: subset, item and method."""
    return str(row["subset"]), str(row["item"]), str(row["method"])


@contextmanager
def opened(output: Path, settings: Mapping[str, Any], force: bool) -> Iterator[tuple[list[Row], IO[str]]]:
    """The rows that are there already, failed ones left out, and a file to append rows to.

    Raises UsageError if another run is writing there, or if the rows there are of something else, unless ``force``.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file.", "Name a folder for the results.")
    there = {path.name for path in output.iterdir()} if output.exists() else set()
    if there - {atomic.LOCK} and ROWS not in there:
        raise UsageError(f"{output} is not empty, and holds no results.", "Name another folder.")
    with atomic.lock_folder(output):
        if force:
            _clear(output)
        settings = _joined(output / SETTINGS, settings)
        path = output / ROWS
        kept = [row for row in jsonl.read_jsonl(path)[1] if row["status"] == "ok"]
        jsonl.write_json(output / SETTINGS, settings)
        with atomic.atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
            append(file, kept)
        with path.open("a", encoding="utf-8") as file:
            yield kept, file


def append(file: IO[str], rows: Sequence[Row]) -> None:
    """Write rows at once, whole lines in one piece."""
    file.write("".join(jsonl.to_json(row) + "\n" for row in rows))
    file.flush()


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows as CSV, with the improvement over the mixture beside every score."""
    study = ScoreTable(rows)
    names = [metric.key for metric in study.metrics]
    heads = ["subset", "item", "method", "status", "reason", "seconds", "elapsed_seconds"]
    with atomic.atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*heads, *names, *(f"{name}_improvement" for name in names)])
        for row in rows:
            scores = [score_of(row, name) for name in names]
            gains = [study.gain(row, name) if row["method"] != UNPROCESSED else None for name in names]
            table.writerow([row[head] for head in heads] + [_cell(value) for value in (*scores, *gains)])


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.4f}"


def _joined(kept: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the methods of earlier runs; UsageError if those were of something else under the same names."""
    if not kept.exists():
        return dict(settings)
    before = {"videos": None} | json.loads(kept.read_text(encoding="utf-8"))
    earlier, methods = before.pop("methods"), settings["methods"]
    others = {name: value for name, value in settings.items() if name != "methods"}
    if before != others or any(earlier.get(name, what) != what for name, what in methods.items()):
        raise UsageError(f"{kept.parent} holds results of something else.", "Name another folder, or give --force.")
    return others | {"methods": earlier | methods}


def _clear(output: Path) -> None:
    """Remove what an evaluation leaves."""
    for name in ("estimates", "mixtures"):
        shutil.rmtree(output / name, ignore_errors=True)
    for name in (ROWS, SETTINGS, TABLE, SUMMARY, "report.html"):
        (output / name).unlink(missing_ok=True)
