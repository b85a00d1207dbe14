"""Find the recordings in a folder by one rule for all commands, and report which files were passed over, and why."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avse.errors import UsageError, printable
from avse.io.formats import is_recording
from avse.io.urls import missing

SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "icon\r", "ehthumbs.db"})
HIDDEN, OTHER_KIND, UNREADABLE = "hidden", "not a recording", "cannot be read"
LOOP = "a link that leads to itself"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listing:
    """Hold names below a folder, in a fixed order, and why each other file or folder in it was passed over."""

    names: list[str] = field(default_factory=list)
    passed_over: dict[str, str] = field(default_factory=dict)


def list_recordings(folder: Path, recursive: bool = True, accept: Callable[[str], bool] = is_recording) -> Listing:
    """List the recordings below a folder.

    What counts: files with a suffix of the table in `avse.io.formats`. Names that begin with a dot are left out (macOS
    leaves ``._NAME`` beside each file on other systems' disks), and so are files of the system. Symbolic links are
    followed; a folder that is reached twice is listed once.

    Raises UsageError if there is no such folder, or if it cannot be read.
    """
    if folder.is_file():
        raise UsageError(f"{folder} is a file, not a folder.", "Use the folder that contains it.")
    if not folder.is_dir():
        raise missing(folder, "folder")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(f"The folder {folder} cannot be read.", "Change its permissions.")
    found = Listing()
    for name, problem in _list_tree(folder, recursive):
        problem = problem or problem_of_name(name, accept)
        if problem:
            found.passed_over[name] = problem
        else:
            found.names.append(name)
    found.names.sort()
    return found


def problem_of_name(name: str, accept: Callable[[str], bool] = is_recording) -> str:
    """Return why a file of that name is not a recording; nothing if it is one."""
    parts = name.split("/")
    if any(part.startswith(".") for part in parts):
        return HIDDEN
    if parts[-1].lower() in SYSTEM_FILES:
        return "a system file"
    return "" if accept(name) else OTHER_KIND


def _list_tree(folder: Path, recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield each file below a folder, each folder that is not entered, and what is wrong with it."""
    entered = {_identity(folder.stat())}
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            entries = sorted(os.scandir(folder / inside), key=lambda entry: entry.name)
        except OSError:
            yield inside, UNREADABLE
            continue
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            try:
                if entry.is_dir():
                    if entry.name.startswith("."):
                        yield name, HIDDEN
                    elif recursive and _identity(os.stat(entry.path)) in entered:
                        yield name, "a link to a folder that was listed already"
                    elif recursive:
                        entered.add(_identity(os.stat(entry.path)))
                        waiting.append(name)
                    continue
                yield name, _problem_of_file(entry)
            except OSError as error:
                yield name, LOOP if error.errno == errno.ELOOP else UNREADABLE


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _problem_of_file(entry: os.DirEntry[str]) -> str:
    if not entry.is_file():
        return "a broken link" if entry.is_symlink() else "not a file"
    return "" if os.access(entry.path, os.R_OK) else UNREADABLE


def describe_passed_over(passed_over: Mapping[str, str]) -> str:
    """Describe files that were passed over in one line: how many, and why; nothing for none."""
    if not passed_over:
        return ""
    reasons = []
    for reason, count in Counter(passed_over.values()).most_common():
        kinds = _suffixes(name for name, own in passed_over.items() if own == reason)
        examples = f" ({', '.join(kinds)})" if reason == OTHER_KIND and kinds else ""
        reasons.append(f"{count} {reason}{examples}")
    files = "file" if len(passed_over) == 1 else "files"
    return printable(f"{len(passed_over)} {files} ignored: {', '.join(reasons)}")


def _suffixes(names: Iterable[str]) -> list[str]:
    """Return the most frequent suffixes of names."""
    counts = Counter(Path(name).suffix.lower() or "no suffix" for name in names)
    shown = [suffix for suffix, _ in counts.most_common(5)]
    return [*shown, "..."] if len(counts) > len(shown) else shown


def log_passed_over(folder: object, passed_over: Mapping[str, str]) -> None:
    """Log every file that was passed over, for ``--verbose``."""
    for name, reason in passed_over.items():
        _log.info("%s", printable(f"ignored {name} in {folder}: {reason}"))
