"""Write JSON, and read JSON lines."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avse.errors import printable
from avse.io.atomic import atomic_path


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values for machines; what is not a number becomes null."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(_plain(values), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_jsonl(path: Path) -> tuple[int, list[dict[str, Any]]]:
    """How many bytes of a file are whole lines, and the JSON objects in them; a line torn by a crash is left out."""
    data = path.read_bytes() if path.exists() else b""
    length = data.rfind(b"\n") + 1
    rows = []
    for line in data[:length].splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return length, [row for row in rows if isinstance(row, dict)]


def to_json(values: Mapping[str, Any]) -> str:
    """Return values as one line of JSON."""
    return to_text(values)


def to_text(value: Any) -> str:
    """Return any value as one line of JSON; what is not a number becomes null."""
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return printable(value) if isinstance(value, Path) else value
