"""Frames of talking faces as edges, coarse luminance, and the colours to be predicted from both.

For benchmarks/asym_colour.py. Legend: `N` frames, `H W` pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from row_file import fingerprint
from skimage.color import rgb2gray
from skimage.filters import sobel
from skimage.transform import resize

from avse.io import reader
from avse.io.atomic import atomic_path

SIDE = 64
COARSE = 8
"""Rows and columns of the luminance image before it is enlarged to SIDE."""
CLIPS_PER_PERSON = 4
FRAME_NUMBERS = (2, 12, 22)
"""Indices of the frames that are taken from every clip; clips may be as short as one second."""


@dataclass(frozen=True)
class Views:
    """Hold edges and luminance (N, 1, H, W), colours (N, 3, H, W), all float32 in 0 to 1, and each frame's person."""

    edges: np.ndarray
    luminance: np.ndarray
    colours: np.ndarray
    people: np.ndarray

    def select(self, chosen: np.ndarray) -> Views:
        """Return the frames with these indices, or in this mask."""
        return Views(self.edges[chosen], self.luminance[chosen], self.colours[chosen], self.people[chosen])


def split_views(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return edges (1, H, W), coarse luminance (1, H, W) and colours (3, H, W) of one RGB frame uint8 (H, W, 3).

    Edges are Sobel magnitudes of the luminance with a maximum of 1. The images complement each other: one has no
    levels, the other no detail.
    """
    colours = np.asarray(Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32) / 255
    grey = rgb2gray(colours)
    edges = sobel(grey)
    coarse = resize(resize(grey, (COARSE, COARSE), anti_aliasing=True), (SIDE, SIDE), order=1)
    return (edges / max(edges.max(), 1e-6))[None], coarse[None], colours.transpose(2, 0, 1)


def find_people(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """Find at most CLIPS_PER_PERSON clips of every person; folders hold PERSON/**/CLIP.mp4."""
    people: dict[str, list[Path]] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/**/*.mp4")):
            people.setdefault(path.relative_to(folder).parts[0], []).append(path)
    if not people:
        raise SystemExit(f"No PERSON/**/CLIP.mp4 in {', '.join(map(str, folders))}.")
    return {person: paths[:: -(-len(paths) // CLIPS_PER_PERSON)] for person, paths in people.items()}


def load_views(folders: Sequence[Path], cache: Path) -> Views:
    """Read frames of all people in folders, or from ``cache`` if an earlier call has stored those of the same clips."""
    clips = find_people(folders)
    data = fingerprint(path for paths in clips.values() for path in paths)
    if not _holds(cache, data):
        found = [(*split_views(frame), person) for person, frame in _frames(clips)]
        edges, luminance, colours, people = (np.stack(column) for column in zip(*found, strict=True))
        as_bytes = {"edges": edges, "luminance": luminance, "colours": colours}
        levels = {name: np.round(values * 255).astype(np.uint8) for name, values in as_bytes.items()}
        with atomic_path(cache) as partial:
            np.savez_compressed(partial, people=people, data=data, **levels)
    with np.load(cache) as stored:
        images = [stored[name].astype(np.float32) / 255 for name in ("edges", "luminance", "colours")]
        return Views(images[0], images[1], images[2], stored["people"])


def _holds(cache: Path, data: str) -> bool:
    """Return whether a file holds the frames of data with this fingerprint."""
    if not cache.exists():
        return False
    with np.load(cache) as stored:
        return "data" in stored and str(stored["data"]) == data


def _frames(people: dict[str, list[Path]]) -> Iterator[tuple[str, np.ndarray]]:
    for person, paths in people.items():
        for path in paths:
            frames = list(islice(reader.read_colour_frames(reader.probe(path)), max(FRAME_NUMBERS) + 1))
            yield from ((person, frames[number]) for number in FRAME_NUMBERS if number < len(frames))
