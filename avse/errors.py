"""What can go wrong, said in two lines: what is wrong, and what to do."""

from __future__ import annotations


class AvseError(Exception):
    """A failure the user can act on.

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
    """A recording that cannot be used as it is."""


class UsageError(AvseError, ValueError):
    """A command or an argument that makes no sense as given."""

    exit_code = 2


class MissingError(AvseError):
    """A program, package or file that this machine lacks."""

    exit_code = 3


def printable(text: object) -> str:
    """Text that may hold names of files, which may hold anything, so that a terminal shows it on one line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in str(text))


def one_line(error: Exception) -> str:
    """Kind and words of an error that came from elsewhere, of which nobody knows how long they are."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error is of memory that ran out, of the machine or of a GPU."""
    words = ("can't allocate memory", "out of memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    )
