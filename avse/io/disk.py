"""Distinguish a full disk, or a folder without permission to write, from a recording that cannot be used."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from avse.errors import AvseError, InputError, MissingError, UsageError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EACCES, errno.EPERM)
FATAL = (*FULL, errno.EROFS)
"""What ends all writing in the middle of the work; before it, a read-only disk is a wrong choice of the user."""
UNWRITABLE = (*FATAL, *FORBIDDEN)
SPACE_HINT = "Free space on that disk, or choose another folder."
TEMPORARY_HINT = "Free some disk space, or set TMPDIR to a folder with free space."
GO_ON_HINT = "Free some disk space or choose another folder, then run the same command again to resume."
FORBIDDEN_HINT = "Change its permissions, or choose another folder."


class UnwritableError(MissingError):
    """Report a folder in which nothing more can be written."""


def unwritable(folder: object, why: object, hint: str = SPACE_HINT) -> UnwritableError:
    """Return the error for a folder in which nothing can be written, and why."""
    return UnwritableError(f"The folder {folder} cannot be written to: {why}.", hint)


def creation_error(folder: Path, error: OSError) -> AvseError:
    """Return the error for a folder in which a file could not be created: MissingError for a full disk only."""
    if error.errno in FULL:
        return unwritable(folder, error.strerror)
    hint = FORBIDDEN_HINT if error.errno in FORBIDDEN else "Choose another folder."
    return UsageError(f"The folder {folder} cannot be written to: {error.strerror}.", hint)


def make_folder(folder: Path) -> None:
    """Make a folder where there is none. MissingError or UsageError if that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise creation_error(folder, error) from error


def check_writable(folder: Path) -> None:
    """Raise UsageError for a folder in which nothing may be created."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"The folder {folder} cannot be written to.", FORBIDDEN_HINT)


@contextmanager
def writing_into(folder: object, hint: str = SPACE_HINT) -> Iterator[None]:
    """Convert a full disk, however the error is wrapped, to a MissingError that names the folder."""
    try:
        yield
    except UnwritableError:  # of another folder, for example that of temporary files
        raise
    except Exception as error:
        if why := _reason(error):
            raise unwritable(folder, why, hint) from error
        raise


@contextmanager
def stop_when_full(output: object) -> Iterator[None]:
    """Convert any failure to write, however wrapped, to the MissingError that stops a run."""
    try:
        yield
    except UnwritableError as error:
        raise UnwritableError(error.message, GO_ON_HINT) from error
    except Exception as error:
        if why := write_failure(error):
            raise UnwritableError(f"{output} cannot be written: {why}.", GO_ON_HINT) from error
        raise


def write_failure(error: BaseException) -> str | None:
    """Return the system's message if an error was caused by a failure to write; nothing otherwise."""
    if why := _reason(error):
        return why
    for cause in _causes(error):
        if isinstance(cause, InputError):
            return None
        if type(cause).__module__ == "soundfile":  # the error has no number
            return "the disk is full, or a limit is reached"
    return None


def _reason(error: BaseException) -> str | None:
    for cause in _causes(error):
        for code in FATAL:
            if getattr(cause, "errno", None) == code or os.strerror(code) in str(cause):
                return os.strerror(code)
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__
