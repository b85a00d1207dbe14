"""Rows of an evaluation on disk: one line of JSON each, appended as they end, so that a run can be resumed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from avse.errors import UsageError
from avse.evaluation.rows import Row
from avse.evaluation.statistics import UNPROCESSED, ScoreTable, score_of
from avse.io import atomic, csv_files, jsonl
from avse.io.folders import check_inside
from avse.io.schema import is_number, is_text, mapping_of, one_of, optional, problem_of
from avse.io.urls import real_path

Key = tuple[str, str, str]
Place = tuple[str, str]
"""Subset and name of an item."""

REPAIR = "Remove that line, move the file away, or use --force to start again."
REQUIRED = {
    **dict.fromkeys(("subset", "item", "method"), is_text),
    "status": one_of("ok", "failed"),
    **dict.fromkeys(("seconds", "elapsed_seconds"), is_number),
    "scores": mapping_of(optional(is_number)),
    "reason": optional(is_text),
    "video": optional(is_text),
}
OTHERS = {
    **dict.fromkeys(("mixture", "reference", "estimate", "picture", "fingerprint"), optional(is_text)),
    "stage_seconds": mapping_of(is_number),
}
ROWS, SETTINGS, TABLE, SUMMARY = "results.jsonl", "settings.json", "scores.csv", "summary.json"
FOLDERS = ("estimates", "mixtures")


def key(row: Row) -> Key:
    """Return what a row is about: subset, item and method."""
    return row["subset"], row["item"], row["method"]


def check_separate(output: Path, *inputs: Path | None) -> None:
    """Raise UsageError for an input inside a folder of the outputs, which ``force`` would clear."""
    for path in filter(None, inputs):
        for name in FOLDERS:
            if real_path(path).is_relative_to(real_path(output / name)):
                raise UsageError(
                    f"{path} is in a folder that {output} uses for results.", "Choose another output folder."
                )


@contextmanager
def opened(
    output: Path, settings: Mapping[str, Any], force: bool, fingerprints: Mapping[Place, str]
) -> Iterator[tuple[list[Row], IO[str], set[Place]]]:
    """Yield the existing rows, a file to append rows to, and the items that changed since they were scored.

    Failed rows are left out and removed, and so are rows of the systems in ``settings`` for items that have changed:
    ``fingerprints`` are those of the items now. A row of a former version has none, and stays.

    Raises UsageError if another run is writing there, or if the rows there are of something else, unless ``force``.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, not a folder.", "Choose a folder for the results.")
    there = {path.name for path in output.iterdir()} if output.exists() else set()
    if there - {atomic.LOCK} and ROWS not in there:
        raise UsageError(f"{output} is not empty and contains no results.", "Choose another folder.")
    with atomic.lock_folder(output):
        for name in (*FOLDERS, ROWS, SETTINGS, TABLE, SUMMARY, "report.html"):
            check_inside(output / name, output)
        if force:
            _clear(output)
        systems, settings = settings["methods"], _joined(output / SETTINGS, settings)
        path = output / ROWS
        rows = cast("list[Row]", [with_present_keys(row) for row in jsonl.read_jsonl(path, check_row, REPAIR)[1]])
        scored = [row for row in rows if row["status"] == "ok"]
        stale = {key(row) for row in scored if row["method"] in systems and _has_changed(row, fingerprints)}
        kept = [row for row in scored if key(row) not in stale]
        for name in FOLDERS:
            atomic.sweep_tree(output / name)
        jsonl.write_json(output / SETTINGS, settings)
        with atomic.atomic_path(path) as partial, partial.open("w", encoding="utf-8") as file:
            append(file, kept)
        with path.open("a", encoding="utf-8") as file:
            yield kept, file, {(subset, item) for subset, item, _ in stale}


def _has_changed(row: Row, fingerprints: Mapping[Place, str]) -> bool:
    """Return whether the item of a row is known to have changed since."""
    then = row.get("fingerprint")
    return then is not None and fingerprints.get(key(row)[:2], then) != then


def append(file: IO[str], rows: Sequence[Row]) -> None:
    """Write rows immediately, as whole lines."""
    file.write("".join(jsonl.to_json(row) + "\n" for row in rows))
    file.flush()


def check_row(row: Mapping[str, Any]) -> str:
    """Return what is wrong with a row of an evaluation; nothing if it is valid."""
    return problem_of(with_present_keys(row), REQUIRED, OTHERS)


def with_present_keys(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the key ``video``, also if an earlier version wrote it as ``picture``."""
    is_former = "picture" in row and "video" not in row
    return dict(row) | ({"video": row["picture"]} if is_former else {})


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write all rows as CSV, with the improvement over the mixture beside every score."""
    score_table = ScoreTable(rows)
    names = [metric.key for metric in score_table.metrics]
    heads = ["subset", "item", "method", "status", "reason", "seconds", "elapsed_seconds"]
    table: list[list[Any]] = [[*heads, *names, *(f"{name}_improvement" for name in names)]]
    for row in rows:
        scores = [score_of(row, name) for name in names]
        gains = [score_table.gain(row, name) if row["method"] != UNPROCESSED else None for name in names]
        values: Mapping[str, object] = row
        table.append([values[head] for head in heads] + [_cell(value) for value in (*scores, *gains)])
    csv_files.write_csv(path, table)


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.4f}"


def _joined(kept: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the methods of earlier runs; UsageError if those were of something else."""
    if not kept.exists():
        return dict(settings)
    hint = "Move the file away, or use --force to start again."
    before = {"videos": None} | jsonl.read_json(kept, lambda found: problem_of(found, {"methods": _is_mapping}), hint)
    earlier, methods = before.pop("methods"), settings["methods"]
    others = {name: value for name, value in settings.items() if name != "methods"}
    if before != others or any(earlier.get(name, what) != what for name, what in methods.items()):
        raise UsageError(
            f"{kept.parent} contains results of another evaluation.", "Choose another folder, or use --force."
        )
    return others | {"methods": earlier | methods}


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _clear(output: Path) -> None:
    """Remove the outputs of an evaluation."""
    for name in FOLDERS:
        shutil.rmtree(output / name, ignore_errors=True)
    for name in (ROWS, SETTINGS, TABLE, SUMMARY, "report.html"):
        (output / name).unlink(missing_ok=True)
