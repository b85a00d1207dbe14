"""Write files that exist only when they are whole, and never replace one by accident."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from avse.errors import UsageError
from avse.io.folders import LOCK, lock_folder

__all__ = ["LOCK", "atomic_path", "check_output", "lock_folder", "open_for_filenames", "sweep", "sweep_tree"]

MAX_STEM = 20
_PARTIAL = re.compile(r"\.(.*)\.[0-9a-z_]{8}\.part(\.\w+)?", re.DOTALL)
_log = logging.getLogger(__name__)


def check_output(path: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Check that a file can and may be written, and remove what a killed run left of it.

    Raises UsageError for a folder, a name in a folder that is missing or cannot be written to, a file that exists
    (unless ``force``), a symbolic link (nothing is written through it, and it is not replaced), or one of ``inputs``.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", "Name a file, such as clean.wav.")
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist.", f"Make it first: mkdir -p '{path.parent}'")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"The folder {path.parent} cannot be written to.", "Choose another folder.")
    if path.exists() and not force:
        raise UsageError(f"{path} exists already.", "Give --force to replace it, or another name.")
    if path.exists() and any(read.exists() and path.samefile(read) for read in inputs):
        raise UsageError(f"{path} is read, and never replaced, even with --force.", "Choose another name.")
    if path.is_symlink():
        raise UsageError(
            f"{path} is a symbolic link, which is not followed.", f"Name the file: {os.path.realpath(path)}"
        )
    sweep(path.parent, [path.stem])


@contextlib.contextmanager
def atomic_path(path: Path, replace: bool = True) -> Iterator[Path]:
    """Give a new file beside ``path``, with its suffix; it becomes ``path`` at the end, and vanishes on any failure.

    While it is being written it is locked, so that `sweep` tells it from one that a killed process left behind.
    Without ``replace``, a file that came to be there in the meantime stays, and a UsageError says so.
    """
    partial = path.with_name(f".{path.stem[:MAX_STEM]}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        with partial.open("xb") as held:
            with contextlib.suppress(OSError):  # a disk without locks: nothing is swept there
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            usual_mode = os.fstat(held.fileno()).st_mode
            yield partial
            partial.chmod(usual_mode)
            if replace:
                partial.replace(path)
            else:
                _move_to_free_name(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _move_to_free_name(partial: Path, path: Path) -> None:
    """Give a file another name; UsageError if there is a file of that name."""
    try:
        try:
            os.link(partial, path, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            partial.replace(path)
    except FileExistsError:
        message = f"{path} appeared while it was being made, and was not replaced."
        raise UsageError(message, "Give --force to replace it, or another name.") from None


def sweep(folder: Path, stems: Iterable[str]) -> None:
    """Remove files that `atomic_path` of a killed process left in a folder for outputs of these stems."""
    wanted = {stem[:MAX_STEM] for stem in stems} | {"loudness"}
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if (found := _PARTIAL.fullmatch(path.name)) and found[1] in wanted:
                _remove_if_dead(path)


def sweep_tree(folder: Path) -> None:
    """Remove files that `atomic_path` of a killed process left anywhere below a folder, which is held by a lock."""
    for parent, _, names in os.walk(folder):
        for name in filter(_PARTIAL.fullmatch, names):
            _remove_if_dead(Path(parent, name))


def _remove_if_dead(path: Path) -> None:
    """Remove a partial file unless a living process holds it."""
    with contextlib.suppress(OSError), open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        _log.info("removed %s, which an earlier run left behind", path)


def open_for_filenames(path: Path) -> TextIO:
    """Open a new file for text with names of files in it, which may be any bytes."""
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
