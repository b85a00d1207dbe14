"""Folders of mixtures in the layouts of the field: detect the layout, and list the items to score.

A layout is a function that lists a folder's items, and lists none where the folder is laid out otherwise; they are in
`avse.data.field_layouts`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from avse.config import SAMPLE_RATE
from avse.data.mixtures.recipes import muse_sum
from avse.errors import InputError, UsageError
from avse.io import audio_files
from avse.io.listing import list_recordings
from avse.io.urls import missing

TRAINING_SUBSETS = frozenset({"train", "training", "tr", "val", "valid", "cv", "dev"})


@dataclass(frozen=True)
class Recipe:
    """Describe a mixture without a file: its sources, and their levels in dB relative to the power of the first.

    Without levels it is the mean of the sources, as VisualVoice has it. ``seconds`` is the longest that it may be.
    """

    sources: tuple[Path, ...]
    levels_db: tuple[float, ...] = ()
    seconds: float | None = None

    def make(self) -> np.ndarray:
        """Make the mixture (N,) at 16 kHz. InputError if a source is missing."""
        drawn = [audio_files.read_audio_file(path) for path in self.sources]
        if self.levels_db:
            mixed = muse_sum(drawn, self.levels_db)
        else:
            length = min(map(len, drawn))
            mixed = np.stack([audio[:length] for audio in drawn]).mean(0, dtype=np.float32)
        mixed = mixed[: round(self.seconds * SAMPLE_RATE)] if self.seconds else mixed
        if not np.any(mixed):
            raise InputError(f"The mixture of {self.sources[0]} is silent.", "Check its sources.")
        return mixed / np.abs(mixed).max() if self.levels_db else mixed


@dataclass(frozen=True)
class Item:
    """Hold one item to score.

    ``mixture`` is a file, or a recipe; ``reference`` the target's clean audio, None if the data set withholds it;
    ``video`` shows the target. If ``video`` is the mixture's own file, or ``is_dubbed``, its audio is the mixture.
    ``cut`` is True if the references of the layout are longer than the mixtures.
    """

    name: str
    subset: str
    mixture: Path | Recipe
    reference: Path | None
    video: Path | None = None
    is_dubbed: bool = False
    cut: bool = False


def fingerprint(item: Item) -> str:
    """Return what identifies the files of an item: the hash of their names, sizes and times of modification."""
    recipe = item.mixture if isinstance(item.mixture, Recipe) else Recipe((item.mixture,))
    files = [_identity(path) for path in (*recipe.sources, item.reference, item.video)]
    values = [recipe.levels_db, recipe.seconds, item.is_dubbed, item.cut, files]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def _identity(path: Path | None) -> tuple[str, int, int] | None:
    """Return name, size and time of modification of a file; None if there is none, or it cannot be looked up."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:  # a failed row of the item says why
        return None
    return path.name, status.st_size, status.st_mtime_ns


Layout = Callable[[Path, "Path | None"], list[Item]]


@dataclass(frozen=True)
class Found:
    """Hold a folder's layout by name, its items in order, and why each other file belongs to none."""

    layout: str
    items: list[Item]
    passed_over: dict[str, str] = field(default_factory=dict)


def recognise(
    folder: Path, layouts: Mapping[str, Layout], layout: str | None = None, videos: Path | None = None
) -> Found:
    """List a folder's items, or those of the folders in it, which are then the subsets.

    Args:
        layouts: the known layouts, by name, in the order in which they are tried.
        layout: the name of the only one to try.
        videos: VoxCeleb2's own videos, for layouts that hold audio only but name their clips.

    Raises:
        UsageError: there is no such folder, or its layout is not known.
    """
    if not folder.is_dir():
        raise missing(folder, "folder", "Use a folder of mixtures, such as one made by avse mix.")
    if layout is not None and layout not in layouts:
        raise UsageError(f"Unknown layout {layout!r}.", f"Known: {', '.join(layouts)}.")
    for name in [layout] if layout else list(layouts):
        if items := layouts[name](folder, videos):
            return Found(name, items)
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
        parts = [(path.name, layouts[name](path, videos)) for path in inside]
        items = [replace(item, subset=_joined(part, item.subset)) for part, listed in parts for item in listed]
        if items:
            return Found(name, items)
    raise UsageError(
        f"{folder} contains no mixtures in {f'the layout {layout}' if layout else 'any known layout'}.",
        f"Known layouts: {', '.join(layouts)}; see avse evaluate --help. "
        "To make mixtures from clips: avse mix CLIPS OUTPUT",
    )


def unused_files(folder: Path, items: Sequence[Item]) -> dict[str, str]:
    """Return the files of a folder of pairs that belong to no item, and why each does not."""
    used = {path for item in items for path in (item.mixture, item.reference, item.video) if isinstance(path, Path)}
    there = list_recordings(folder)
    return there.passed_over | {name: "without an item" for name in there.names if folder / name not in used}


def choose(items: list[Item], subsets: list[str] | None, limit: int | None) -> list[Item]:
    """Return items of the named subsets, or of all but training subsets where others exist; ``limit`` of each."""
    there = list(dict.fromkeys(item.subset for item in items))
    if unknown := [name for name in subsets or [] if name not in there]:
        raise UsageError(f"There is no subset {unknown[0]!r}.", f"Available subsets: {', '.join(there)}.")
    for_test = [name for name in there if name.rpartition("/")[2] not in TRAINING_SUBSETS]
    wanted = subsets or for_test or there
    counts = dict.fromkeys(there, 0)
    chosen = []
    for item in items:
        if item.subset in wanted and (limit is None or counts[item.subset] < limit):
            counts[item.subset] += 1
            chosen.append(item)
    return chosen


def _joined(folder: str, subset: str) -> str:
    return f"{folder}/{subset}" if subset else folder
