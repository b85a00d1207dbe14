"""Errors with two lines: what is wrong, and what to do."""

from __future__ import annotations

from typing import Any


class AvseError(Exception):
    """Report a failure that the user can act on.

    The command line shows ``message`` and ``hint`` as two lines on standard error and leaves with ``exit_code``:
    1 the input failed, 2 wrong usage, 3 something is missing on the machine.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}"


class InputError(AvseError):
    """Report a recording that cannot be used."""


class UsageError(AvseError, ValueError):
    """Report a command or an argument that cannot be used as given."""

    exit_code = 2


class MissingError(AvseError):
    """Report a program, package or file that is missing on this machine."""

    exit_code = 3


def printable(text: object) -> str:
    """Return text with control characters escaped, so that file names stay on one line of a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))


def one_line(error: Exception) -> str:
    """Return type and message of an error of another library on one line, at most 300 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error is of memory that ran out, of the machine or of a GPU."""
    words = ("can't allocate memory", "out of memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )


def short_repr(value: Any) -> str:
    """Return any value as text for an error message."""
    try:
        return printable(repr(value))[:80]
    except Exception:  # a foreign object may raise anything
        return f"a {type(value).__name__}"
