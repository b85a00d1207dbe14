"""Find the recordings of a training corpus, ``SPEAKER/**/CLIP``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avse.errors import UsageError
from avse.io.listing import Listing, describe_passed_over, list_recordings
from avse.io.urls import real_path

ROOTS = ("dev/mp4", "mp4")
"""Folders of the speakers inside the released VoxCeleb2, those for training first."""
TEST_ROOTS = ("test/mp4", *ROOTS)
"""The same for mixtures, which are for evaluation: first the speakers that no network was trained on."""
MAX_STEM_BYTES = 251
"""Longest name without suffix of a clip or shard: file systems take 255 bytes."""


@dataclass(frozen=True)
class Corpus:
    """Hold the recordings of a tree, each with the path of its prepared clip, and why other files were passed over."""

    pairs: list[tuple[Path, Path]]
    passed_over: dict[str, str]


def sources(tree: Path, cache: Path | None = None, roots: Sequence[str] = ROOTS) -> list[tuple[Path, Path]]:
    """Return every recording below a tree of speakers, and where its prepared form belongs in ``cache``."""
    return survey(tree, cache, roots).pairs


def without(there: Listing, root: Path, output: Path) -> Listing:
    """Return a listing without what lies in an output folder below it."""
    own, base = real_path(output), real_path(root)
    if own == base or not own.is_relative_to(base):
        return there
    inside = own.relative_to(base).as_posix() + "/"
    passed_over = {name: reason for name, reason in there.passed_over.items() if not f"{name}/".startswith(inside)}
    return Listing([name for name in there.names if not name.startswith(inside)], passed_over)


def speakers_folder(tree: Path, roots: Sequence[str] = ROOTS) -> Path:
    """Return the folder of the speakers: the first of ``roots`` that is there, or the tree itself."""
    return next((tree / inside for inside in roots if (tree / inside).is_dir()), tree)


def survey(tree: Path, cache: Path | None = None, roots: Sequence[str] = ROOTS) -> Corpus:
    """Find the recordings below a tree of speakers, by the rules of `avse.io.listing`, but none in ``cache``.

    Raises UsageError if there are none, or if two would become one clip.
    """
    root = speakers_folder(tree, roots)
    there = list_recordings(root)
    if cache is not None:
        there = without(there, root, cache)
    problems = {name: _problem_of_place(name) for name in there.names}
    passed_over = there.passed_over | {name: problem for name, problem in problems.items() if problem}
    found = sorted(root / name for name, problem in problems.items() if not problem)
    if not found:
        others = describe_passed_over(passed_over)
        hint = f"{others}. " if others else ""
        raise UsageError(f"No recordings in {root}.", f"{hint}Expected a folder for each speaker: SPEAKER/**/CLIP.mp4")
    parts = [path.relative_to(root).with_suffix("").parts for path in found]
    targets = [Path(cache or "", part[0], f"{_clip_name(part[1:])}.npz") for part in parts]
    pairs = list(zip(found, targets, strict=True))
    _check_apart(pairs)
    return Corpus(pairs, passed_over)


def _check_apart(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Raise UsageError if two recordings would become one clip."""
    owners: dict[Path, Path] = {}
    for path, target in pairs:
        if owners.setdefault(target, path) is not path:
            raise UsageError(
                f"{owners[target]} and {path} would become the same clip.", "Rename or remove one of them."
            )


def _problem_of_place(name: str) -> str:
    """Return why a file cannot be prepared where it is; nothing if it can."""
    speaker, inside, _ = name.partition("/")
    if not inside:
        return "not in a speaker's folder"
    return "in a speaker's folder of too long a name" if len(os.fsencode(speaker)) > MAX_STEM_BYTES else ""


def _clip_name(parts: Sequence[str]) -> str:
    """Return the name of a prepared clip without suffix; one that is too long is cut, and ends with its hash."""
    name = "-".join(parts)
    if len(os.fsencode(name)) <= MAX_STEM_BYTES:
        return name
    end = "-" + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    start = name[: MAX_STEM_BYTES - len(end)]
    while len(os.fsencode(start + end)) > MAX_STEM_BYTES:
        start = start[:-1]
    return start + end


def check_output(tree: Path, cache: Path, pairs: Iterable[tuple[Path, Path]]) -> None:
    """Raise UsageError for an output folder that is the corpus, or whose clips would be among its recordings."""
    hint = "Choose a folder of its own for the prepared clips, such as -o cache."
    root = speakers_folder(tree)
    if real_path(cache) in (real_path(tree), real_path(root)):
        raise UsageError(f"{cache} is the folder of the recordings itself.", hint)
    if cache.is_dir() and real_path(cache).parent == real_path(root) and list_recordings(cache).names:
        raise UsageError(f"{cache} is a speaker's folder of recordings.", hint)
    outputs = {target.parent for _, target in pairs}
    speakers = [real_path(root / folder.name) for folder in outputs]
    used = {*speakers, *(parent for speaker in speakers for parent in speaker.parents)}
    for folder in sorted(outputs):
        if real_path(folder) in used:
            raise UsageError(f"Prepared clips in {folder} would be among the recordings.", hint)
