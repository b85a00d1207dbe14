"""Write JSON, and read and check JSON and JSON lines of an earlier run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from avse.errors import UsageError, printable
from avse.io.atomic import atomic_path
from avse.io.folders import check_own_file
from avse.io.text_files import decode_text

Check = Callable[[dict[str, Any]], str]
"""Return what is wrong with an object, in a few words; nothing if it is valid."""


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as JSON; nan and infinity become null."""
    with atomic_path(path) as partial:
        text = json.dumps(_plain(values), indent=2, ensure_ascii=False) + "\n"
        partial.write_text(_encodable(text, lambda: json.dumps(_plain(values), indent=2) + "\n"), encoding="utf-8")


def read_json(path: Path, check: Check, hint: str) -> dict[str, Any]:
    """Read a file of one JSON object. A UsageError names the file and its fault."""
    try:
        check_own_file(path)
        return _checked(path.read_bytes(), check)
    except (OSError, ValueError, RecursionError) as error:
        _refuse(f"{path}", error, hint)


def read_jsonl(
    path: Path, check: Check = lambda row: "", hint: str = "Remove that line."
) -> tuple[int, list[dict[str, Any]]]:
    """Read a file of a JSON object a line: how many bytes of it are whole lines, and their objects.

    A last line that was torn by a crash is left out. Raises UsageError, which names the line, for any other that is no
    JSON object, or with which ``check`` finds something wrong.
    """
    try:
        check_own_file(path)
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        _refuse(f"{path}", error, hint)
    length = data.rfind(b"\n") + 1
    rows = []
    for number, line in enumerate(data[:length].split(b"\n")[:-1], 1):
        if line.strip():
            try:
                rows.append(_checked(line, check))
            except (ValueError, RecursionError) as error:
                _refuse(f"{path}, line {number},", error, hint)
    return length, rows


def to_json(values: Mapping[str, Any]) -> str:
    """Return values as one line of JSON."""
    return to_text(values)


def to_text(value: Any) -> str:
    """Return any value as one line of JSON; nan and infinity become null."""
    return _encodable(json.dumps(_plain(value), ensure_ascii=False), lambda: json.dumps(_plain(value)))


def _checked(data: bytes, check: Check) -> dict[str, Any]:
    values = json.loads(decode_text(data), parse_constant=_no_constant)
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    if problem := check(values):
        raise ValueError(problem)
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _refuse(place: str, error: Exception, hint: str) -> NoReturn:
    reason = (error.strerror or "") if isinstance(error, OSError) else str(error)
    words = printable(" ".join(reason.split())[:150]) or type(error).__name__
    raise UsageError(f"{place} cannot be read: {words}.", hint) from error


def _encodable(text: str, escaped: Callable[[], str]) -> str:
    """Return JSON as it is; names of files that are not UTF-8 are escaped, so that they come back as they were."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return escaped()
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return printable(value) if isinstance(value, Path) else value
