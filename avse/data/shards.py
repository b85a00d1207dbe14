"""Shards: all prepared clips of a speaker in one tar file; any clip can be read alone.

``CACHE/SPEAKER.tar`` holds the files that ``CACHE/SPEAKER/`` would hold. Its first member, ``index.npy``, lists where
each of them is, int64 (clips, 2): offset and size. A clip has the path ``CACHE/SPEAKER.tar/OFFSET-SIZE.npz``.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np

from avse.errors import UsageError
from avse.io import atomic

SUFFIX, INDEX = ".tar", "index.npy"


class Shard(Sequence[Path]):
    """List the clips of a shard; 16 bytes each in memory."""

    def __init__(self, path: Path) -> None:
        """Read the index. UsageError for a file that has none."""
        self._path = path
        try:
            with path.open("rb") as file:
                size = int(file.read(512)[124:135], 8)
                self._places = np.load(io.BytesIO(file.read(size)))
            if self._places.dtype != np.int64 or self._places.shape[1:] != (2,):
                raise ValueError("this is not an index")
        except (OSError, ValueError, EOFError) as error:
            raise _no_shard(path) from error

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        offset, size = self._places[index]
        return self._path / f"{offset}-{size}.npz"


def file_of(path: Path) -> Path:
    """Return the file that holds a prepared clip: one of its own, or a shard."""
    return path.parent if path.parent.suffix == SUFFIX and path.parent.is_file() else path


def open_clip(path: Path) -> BinaryIO:
    """Open a prepared clip, in a file of its own or in a shard, for reading."""
    file = file_of(path)
    if file == path:
        return path.open("rb")
    offset, size = map(int, path.stem.split("-"))
    with file.open("rb") as shard:
        shard.seek(offset)
        return io.BytesIO(shard.read(size))


def again(path: Path) -> str:
    """Return what to do about a damaged file of prepared clips."""
    return f"Remove {path}, and run avse prepare{' --shards' if path.suffix == SUFFIX else ''} again."


def _no_shard(path: Path) -> UsageError:
    return UsageError(f"{path} is not a shard of prepared clips.", again(path))


def names_in(shard: Path) -> set[str]:
    """Return the names of the clips in a shard; none if there is no such file. UsageError for one that is damaged."""
    return set(_names_by_path(shard).values()) if shard.is_file() else set()


def names_of(paths: Sequence[Path]) -> list[str]:
    """Return the names of prepared clips, of those in shards the names of the files that they were.

    UsageError for a shard that is damaged.
    """
    files = dict.fromkeys(map(file_of, paths))
    packed = {path: name for file in files if file.suffix == SUFFIX for path, name in _names_by_path(file).items()}
    return [packed.get(path, path.name) for path in paths]


def _names_by_path(shard: Path) -> dict[Path, str]:
    try:
        with tarfile.open(shard, "r:") as tar:
            clips = [member for member in tar if member.name != INDEX]
            return {shard / f"{clip.offset_data}-{clip.size}.npz": clip.name for clip in clips}
    except (OSError, tarfile.TarError) as error:
        raise _no_shard(shard) from error


def pack(folder: Path) -> None:
    """Add the clips of a speaker's folder to its shard, and remove them; the folder, too, if nothing else is in it."""
    shard = folder.with_name(folder.name + SUFFIX)
    loose = sorted(folder.glob("[!.]*.npz"))
    if not loose:
        return
    with atomic.atomic_path(shard) as partial:
        with tarfile.open(partial, "w", format=tarfile.GNU_FORMAT) as tar:
            kept = names_in(shard) - {path.name for path in loose}
            _add(tar, INDEX, _as_npy(np.zeros((len(kept) + len(loose), 2), np.int64)))
            if kept:
                with tarfile.open(shard, "r:") as before:
                    for member in before:
                        if member.name in kept and (file := before.extractfile(member)):
                            _add(tar, member.name, file.read())
            for path in loose:
                _add(tar, path.name, path.read_bytes())
        _fill_index(partial)
    for path in loose:
        path.unlink()
    atomic.sweep_tree(folder)
    with contextlib.suppress(OSError):  # other files stay
        folder.rmdir()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _fill_index(path: Path) -> None:
    """Write where the members are into the first one."""
    with tarfile.open(path, "r:") as tar:
        index, *clips = tar.getmembers()
    places = sorted((clip.name, clip.offset_data, clip.size) for clip in clips)
    with path.open("r+b") as file:
        file.seek(index.offset_data)
        file.write(_as_npy(np.array([place[1:] for place in places], np.int64)))


def _as_npy(array: np.ndarray) -> bytes:
    held = io.BytesIO()
    np.save(held, array)
    return held.getvalue()
