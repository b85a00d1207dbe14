"""Find the recordings of a training corpus, ``SPEAKER/**/CLIP``."""

from __future__ import annotations

from pathlib import Path

from avse.errors import UsageError
from avse.io.formats import is_recording


def sources(tree: Path, cache: Path) -> list[tuple[Path, Path]]:
    """Every recording below a tree of speakers, and where its prepared form belongs."""
    root = next((tree / inside for inside in ("dev/mp4", "mp4") if (tree / inside).is_dir()), tree)
    found = sorted(path for path in root.glob("*/**/*") if is_recording(path))
    if not found:
        raise UsageError(f"No recordings in {root}.", "Expected a folder for each speaker: SPEAKER/**/CLIP.mp4")
    parts = [path.relative_to(root).with_suffix("").parts for path in found]
    pairs = [(path, cache / part[0] / ("-".join(part[1:]) + ".npz")) for path, part in zip(found, parts, strict=True)]
    owners: dict[Path, Path] = {}
    for path, target in pairs:
        if owners.setdefault(target, path) is not path:
            raise UsageError(f"{owners[target]} and {path} would become one clip.", "Rename one, or take one out.")
    return pairs
