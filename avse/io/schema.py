"""Say what is wrong with plain values that were read from a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Kind = Callable[[Any], bool]
Schema = Mapping[str, Kind]


def is_text(value: Any) -> bool:
    """Tell whether a value is a string."""
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    """Tell whether a value is a finite number that a float holds; truth values are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)


def optional(kind: Kind) -> Kind:
    """Return a kind that also allows None."""
    return lambda value: value is None or kind(value)


def list_of(kind: Kind) -> Kind:
    """Return the kind of a list whose items are all of a kind."""
    return lambda value: isinstance(value, list) and all(map(kind, value))


def mapping_of(kind: Kind) -> Kind:
    """Return the kind of an object whose values are all of a kind."""
    return lambda value: isinstance(value, dict) and all(map(kind, value.values()))


def one_of(*values: str) -> Kind:
    """Return the kind of a word out of a few."""
    return lambda value: isinstance(value, str) and value in values


def problem_of(values: Mapping[str, Any], required: Schema, others: Schema | None = None) -> str:
    """Say which key is missing or of a wrong kind; nothing if all is well. Keys that are not named may be there."""
    for key, kind in required.items():
        if key not in values:
            return f"it has no {key}"
        if not kind(values[key]):
            return f"its {key} is invalid"
    for key, kind in (others or {}).items():
        if key in values and not kind(values[key]):
            return f"its {key} is invalid"
    return ""
