"""Distinguish a full disk from a recording that cannot be used."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from avse.errors import InputError, MissingError

_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
GO_ON_HINT = "Free some disk space or choose another folder, then run the same command again to resume."


@contextmanager
def stop_when_full(output: object) -> Iterator[None]:
    """Convert any failure to write, however wrapped, to the MissingError that stops a run."""
    try:
        yield
    except Exception as error:
        if why := write_failure(error):
            if getattr(error, "hint", "") == GO_ON_HINT:
                raise
            raise MissingError(f"{output} cannot be written: {why}.", GO_ON_HINT) from error
        raise


def write_failure(error: BaseException) -> str | None:
    """Return the system's message if an error was caused by a failure to write; nothing otherwise."""
    seen: set[int] = set()
    cause: BaseException | None = error
    was_reading = False
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        was_reading = was_reading or isinstance(cause, InputError)
        for code in _HOPELESS:
            if getattr(cause, "errno", None) == code or os.strerror(code) in str(cause):
                return os.strerror(code)
        if type(cause).__module__ == "soundfile" and not was_reading:  # it has no number for what is wrong
            return "the disk is full, or a limit is reached"
        cause = cause.__cause__ or cause.__context__
    return None
