"""Read and write tables as CSV, with any bytes in file names.

A cell that a spreadsheet would take for a formula is written with an apostrophe before it; reading removes it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from avse.errors import UsageError, printable
from avse.io.atomic import atomic_path

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|nan)")
MAX_CELL = 100_000


def write_csv(path: Path, rows: Iterable[Sequence[Any]], raw_names: bool = False) -> None:
    """Write rows. Names of files that are not UTF-8 are written readably, or with ``raw_names`` byte by byte."""
    errors = "surrogateescape" if raw_names else "backslashreplace"
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", errors=errors, newline="") as file:
        file.write(to_csv(rows))


def to_csv(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as lines of CSV."""
    text = io.StringIO()
    plain = csv.writer(text, lineterminator="\n")
    quoting = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the plain one leaves "\r" bare
    for row in rows:
        has_returns = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoting if has_returns else plain).writerow([quote_cell(cell) for cell in row])
    return text.getvalue()


def quote_cell(cell: Any) -> Any:
    """Return a cell, with an apostrophe before it if a spreadsheet would take it for a formula."""
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def unquote_cell(cell: str) -> str:
    """Return a cell without the apostrophe that `quote_cell` put before it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_csv(path: Path, hint: str, num_columns: int | None = None) -> list[tuple[int, list[str]]]:
    """Read the rows of a CSV file that are not empty, each with the number of its line.

    A byte order mark and any kind of line end are allowed; bytes that are no UTF-8 come back as in names of files.

    Raises UsageError, which names file and line, for a file that cannot be read or is no text, or a row that has not
    ``num_columns`` cells.
    """
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    except OSError as error:
        refuse_row(path, 0, error.strerror or "", hint)
    return list(parse_csv(path, text, hint, num_columns))


def parse_csv(path: Path, text: str, hint: str, num_columns: int | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a text as `read_csv` does; ``path`` is for the error alone."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            refuse_row(path, reader.line_num, str(error), hint)
        if not any(cells):
            continue
        if any("\0" in cell or len(cell) > MAX_CELL for cell in cells):
            refuse_row(path, reader.line_num, "it is not text", hint)
        if num_columns is not None and len(cells) != num_columns:
            refuse_row(path, reader.line_num, f"{len(cells)} cells where {num_columns} are expected", hint)
        yield reader.line_num, [unquote_cell(cell) for cell in cells]


def refuse_row(path: Path, line: int, problem: str, hint: str) -> NoReturn:
    """Raise UsageError for a line of a file (0 for the file), saying what is wrong with it and what to do."""
    place = f"{path}, line {line}," if line else f"{path}"
    raise UsageError(f"{place} cannot be read: {printable(problem)[:150]}.", hint)
