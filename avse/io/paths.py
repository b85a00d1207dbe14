"""Take paths in the forms that callers have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from avse.errors import UsageError, short_repr


def as_path(value: Any, what: str) -> Path:
    """Return a path of text, bytes or a path; ``what`` names the argument in the error.

    Raises UsageError for any other type, a null character, or a name that is too long.
    """
    if not isinstance(value, str | bytes | os.PathLike):
        raise UsageError(f"{what} is {short_repr(value)}.", "Pass a path.")
    path = Path(os.fsdecode(value))
    if "\0" in str(path):
        raise UsageError(f"{what} is {short_repr(str(path))}.", "A path cannot contain a null character.")
    try:
        path.exists()
    except OSError as error:  # a name that is too long
        raise UsageError(f"{what} is {short_repr(str(path))}.", f"{error.strerror}. Pass another path.") from error
    return path


def check_reachable(path: Path) -> None:
    """Raise UsageError for a path behind a folder that may not be entered."""
    try:
        path.stat()
    except PermissionError as error:
        hint = "Change the permissions of its folder, or choose another path."
        raise UsageError(f"{path} cannot be reached: {error.strerror}.", hint) from error
    except OSError:  # whatever else is wrong is reported where it matters
        pass
