"""Tell a disk that is full from a recording that cannot be used."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from avse.errors import MissingError

_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


@contextmanager
def stop_when_full(output: object) -> Iterator[None]:
    """Turn any failure to write, however wrapped, into the MissingError that stops a run."""
    try:
        yield
    except Exception as error:
        if why := write_failure(error):
            hint = "Make space or choose another folder; the same command then goes on where it stopped."
            raise MissingError(f"{output} cannot be written: {why}.", hint) from error
        raise


def write_failure(error: BaseException) -> str | None:
    """Return why nothing more can be written, in the words of the system, if that is what lies behind an error."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        for code in _HOPELESS:
            if getattr(cause, "errno", None) == code or os.strerror(code) in str(cause):
                return os.strerror(code)
        if type(cause).__module__ == "soundfile":  # writes outputs alone, and has no number for what is wrong
            return "the disk is full, or a limit is reached"
        cause = cause.__cause__ or cause.__context__
    return None
