"""Recordings in folders and, by the same names, on anything that fsspec reaches (s3://bucket/talks, sftp://host/talks).

A recording behind a URL is fetched to a temporary file; an output is uploaded under another name and then renamed.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from avse.errors import AvseError, InputError, MissingError, UsageError, one_line
from avse.installation import install_hint
from avse.io import atomic
from avse.io.disk import check_writable
from avse.io.listing import Listing, list_recordings, problem_of_name
from avse.io.urls import hint_for


def is_url(place: str) -> bool:
    """Return whether a place is reached through fsspec."""
    return re.match(r"[a-z][a-z0-9+.-]+://", place) is not None


def is_absolute(place: str) -> bool:
    return is_url(place) or place.startswith("/")


def join(folder: str, name: str) -> str:
    """Return the place of a name below a folder or URL."""
    return posixpath.join(folder, name) if is_url(folder) else str(Path(folder, name))


def relative(place: str, folder: str) -> str | None:
    """Return the name of a place below a folder: "." for the folder itself, None for a place outside."""
    if is_url(place) != is_url(folder):
        return None
    ends = (place.rstrip("/"), folder.rstrip("/")) if is_url(place) else map(os.path.realpath, (place, folder))
    inner, outer = map(PurePosixPath, ends)
    return str(inner.relative_to(outer)) if inner.is_relative_to(outer) else None


def names(folder: str, recursive: bool = True) -> list[str]:
    """Return the names of all files behind a URL, sorted."""
    system, root = _reach(folder)
    with _reported(f"{folder} cannot be listed"):
        return sorted(posixpath.relpath(path, root) for path in system.find(root, maxdepth=None if recursive else 1))


def recordings(folder: str, recursive: bool = True) -> Listing:
    """Return the names of all recordings below a folder or URL, and why others are passed over.

    Raises UsageError if there is no such folder.
    """
    if not is_url(folder):
        return list_recordings(Path(folder), recursive)
    problems = {name: problem_of_name(name) for name in names(folder, recursive)}
    return Listing(
        [name for name, problem in problems.items() if not problem],
        {name: problem for name, problem in problems.items() if problem},
    )


def existing(folder: str, places: Iterable[str]) -> set[str]:
    """Return those of the places below a folder that exist."""
    if is_url(folder):
        there = {join(folder, name) for name in names(folder)}
        return {place for place in places if place in there}
    return {place for place in places if os.path.isfile(place)}


@contextlib.contextmanager
def readable(place: str) -> Iterator[Path]:
    """Yield a local file with the contents of a place, under the same name."""
    if not is_url(place):
        yield Path(place)
        return
    with atomic.scratch_folder() as scratch:
        local = scratch / posixpath.basename(place)
        system, path = _reach(place)
        try:
            system.get_file(path, str(local))
        except OSError as error:
            raise InputError(f"{place} cannot be downloaded: {error}", "Check the URL and the permissions.") from error
        yield local


@contextlib.contextmanager
def writable(place: str, may_replace: bool = True) -> Iterator[Path]:
    """Yield a local path whose file is moved or uploaded to the place at the end. Its folder is made.

    Raises UsageError at the end where a file appeared behind a URL meanwhile, unless ``may_replace``; MissingError
    where nothing can be put there.
    """
    if not is_url(place):
        make_parent(Path(place))
        yield Path(place)
        return
    with atomic.scratch_folder() as scratch:
        local = scratch / posixpath.basename(place)
        yield local
        system, path = _reach(place)
        partial = posixpath.join(posixpath.dirname(path), f".{secrets.token_hex(4)}.part{local.suffix}")
        with _reported(f"{place} cannot be written"):
            try:
                system.makedirs(posixpath.dirname(path), exist_ok=True)
                system.put_file(str(local), partial)
                if not may_replace:
                    _check_free(system, path, place)
                system.mv(partial, path)
            finally:
                with contextlib.suppress(Exception):
                    system.rm_file(partial)


def make_parent(output: Path) -> None:
    """Make the folder of an output. UsageError, which costs this item alone, if nothing may be written into it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    check_writable(output.parent)


def _check_free(system: Any, path: str, place: str) -> None:
    """Raise UsageError for a file that appeared behind a URL while its output was made."""
    system.invalidate_cache()
    if system.exists(path):
        message = f"{place} was created by another process in the meantime and was not replaced."
        raise UsageError(message, "Use --force to replace it, or choose another folder.")


@contextlib.contextmanager
def _reported(failure: str) -> Iterator[None]:
    """Convert any error of a file system behind a URL to a MissingError: it would affect every item."""
    try:
        yield
    except AvseError:
        raise
    except Exception as error:
        raise MissingError(
            f"{failure}: {one_line(error)}", "Check the URL, the network and the permissions."
        ) from error


def sweep(outputs: Iterable[str]) -> None:
    """Remove partial files of a killed worker beside local outputs."""
    stems: dict[Path, list[str]] = {}
    for path in [Path(output) for output in outputs if not is_url(output)]:
        stems.setdefault(path.parent, []).append(path.stem)
    for folder, own in stems.items():
        atomic.sweep(folder, own)


def _reach(url: str) -> tuple[Any, str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingError("URLs need the package fsspec.", install_hint("ray")) from error
    opened: Callable[[str], tuple[Any, str]] = url_to_fs
    try:
        return opened(url)
    except ImportError as error:
        raise MissingError(f"{url} cannot be reached: {error}", "Install the package named above.") from error
    except ValueError as error:
        raise UsageError(f"{url} cannot be reached: {error}", hint_for(url)) from error
