"""Write files that exist only when they are whole, and never replace one by accident."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, TextIO

from avse.errors import UsageError
from avse.io.disk import UNWRITABLE, check_writable, creation_error, writing_into
from avse.io.folders import LOCK, check_folder, lock_folder
from avse.io.paths import check_reachable
from avse.io.urls import check_local

__all__ = [
    "LOCK", "atomic_path", "check_output", "lock_folder", "never_replacing", "open_for_filenames", "scratch_folder",
    "spool_path", "sweep", "sweep_tree",
]  # fmt: skip

MAX_STEM = 20
SPOOL, SCRATCH = "spool", "avse-scratch-"
_PARTIAL = re.compile(r"\.(.*)\.[0-9a-z_]{8}\.part(\.\w+)?", re.DOTALL)
_never_replaced: ContextVar[frozenset[str]] = ContextVar("never_replaced", default=frozenset())
_log = logging.getLogger(__name__)


def check_output(path: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Check that a file can and may be written, and remove partial files of a killed run.

    Raises UsageError for a URL, a folder, a pipe or device, a name in a folder that is missing or cannot be written to,
    a file that exists (unless ``force``), a symbolic link (nothing is written through it, and it is not replaced), or
    one of ``inputs``.
    """
    check_reachable(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder.", "Use a file name, such as clean.wav.")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is not a file.", "Use a file name, or - to write to standard output.")
    check_local(path)
    check_folder(path.parent)
    if not path.parent.is_dir():
        raise UsageError(f"The folder {path.parent} does not exist.", f"Create it first: mkdir -p '{path.parent}'")
    check_writable(path.parent)
    if path.exists() and any(read.exists() and path.samefile(read) for read in inputs):
        raise UsageError(f"{path} is an input and is never replaced, even with --force.", "Choose another name.")
    if path.exists() and not force:
        raise UsageError(f"{path} already exists.", "Use --force to replace it, or choose another name.")
    if path.is_symlink():
        target = os.path.realpath(path)
        hint = "Choose another name." if os.path.islink(target) else f"Use its target: {target}"
        raise UsageError(f"{path} is a symbolic link, which is not followed.", hint)
    sweep(path.parent, [path.stem])


@contextlib.contextmanager
def never_replacing(paths: Iterable[object], force: bool = False) -> Iterator[None]:
    """Keep `atomic_path` from replacing any of these files inside the block, unless ``force``.

    Values that are not paths are ignored. `check_output` tests at the start whether a name is free; this protects a
    file that appeared in the meantime.
    """
    kept = frozenset() if force else frozenset(os.path.abspath(path) for path in paths if isinstance(path, Path))
    token = _never_replaced.set(_never_replaced.get() | kept)
    try:
        yield
    finally:
        _never_replaced.reset(token)


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a new file beside ``path``, with its suffix; it becomes ``path`` at the end, and is removed on any failure.

    While it is being written it is locked, so that `sweep` tells it from one that a killed process left behind. Raises
    UsageError where the folder cannot be written to, and at the end where `never_replacing` protects a file that is
    there; MissingError where the disk is full.
    """
    partial = path.with_name(f".{path.stem[:MAX_STEM]}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        with writing_into(path.parent), _created(partial) as held:
            usual_mode = os.fstat(held.fileno()).st_mode
            yield partial
            partial.chmod(usual_mode)
            if os.path.abspath(path) in _never_replaced.get():
                _move_to_free_name(partial, path)
            else:
                partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _created(path: Path, mode: int = 0o666) -> BinaryIO:
    """Create a file that is not there, and lock it; again if another process swept it before it was locked.

    Raises MissingError or UsageError where nothing can be created in its folder.
    """
    try:
        while True:
            number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, mode)
            _lock(number)
            if _is_at(number, path):
                return open(number, "wb")
            os.close(number)
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise creation_error(path.parent, error) from error
        raise


def _is_at(number: int, path: Path) -> bool:
    """Return whether a file descriptor is that of the file or folder at a path."""
    try:
        return os.path.samestat(os.fstat(number), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _move_to_free_name(partial: Path, path: Path) -> None:
    """Rename a file; UsageError if there is a file of that name."""
    try:
        try:
            os.link(partial, path, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            partial.replace(path)
    except FileExistsError:
        message = f"{path} was created by another process in the meantime and was not replaced."
        raise UsageError(message, "Use --force to replace it, or choose another name.") from None


def sweep(folder: Path, stems: Iterable[str]) -> None:
    """Remove files that `atomic_path` of a killed process left in a folder for outputs of these stems."""
    wanted = {stem[:MAX_STEM] for stem in stems} | {SPOOL}
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
        if _is_at(file.fileno(), path):  # not one that was created again meanwhile
            path.unlink()
            _log.info("removed %s, which an earlier run left behind", path)


@contextlib.contextmanager
def spool_path(folder: Path | None, suffix: str) -> Iterator[Path]:
    """Yield a temporary file in a folder, or in the system's temporary folder; `sweep` removes it after a kill."""
    place = folder or Path(tempfile.gettempdir())
    sweep(place, [])
    path = place / f".{SPOOL}.{secrets.token_hex(4)}.part{suffix}"
    try:
        with _created(path, 0o600):
            yield path
    finally:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder, removed at the end; after a kill, the next call removes it."""
    for path in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError), _open_folder(path) as number:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    folder, number = _created_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(number)


def _created_folder() -> tuple[Path, int]:
    """Create a temporary folder, and lock it, as `_created` does; return also the descriptor that holds the lock."""
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
        except OSError as error:
            raise creation_error(Path(tempfile.gettempdir()), error) from error
        with contextlib.suppress(FileNotFoundError):
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            _lock(number)
            if _is_at(number, folder):
                return folder, number
            os.close(number)


@contextlib.contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield number
    finally:
        os.close(number)


def _lock(number: int) -> None:
    """Lock a file or folder while it is in use; on a disk without locks nothing is swept either."""
    with contextlib.suppress(OSError):
        fcntl.flock(number, fcntl.LOCK_EX)  # a sweep holds it for a moment only


def open_for_filenames(path: Path) -> TextIO:
    """Open a new text file that contains file names, which may be any bytes."""
    return path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
