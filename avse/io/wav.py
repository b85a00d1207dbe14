"""Write WAV: 16, 24 or 32 bits or float, RF64 beyond 4 GB, with the chunks and tags of the recording.

Sources: RIFF; EBU Tech 3285 (Broadcast WAV, ``bext``), EBU Tech 3306 (RF64).

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

UNKNOWN_SIZE = 0xFFFFFFFF
NUM_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4}
_PCM, _FLOAT = 1, 3
_OWN_CHUNKS = frozenset({b"fmt ", b"data", b"fact", b"ds64", b"PEAK", b"levl", b"JUNK", b"junk", b"FLLR", b"PAD "})
"""Chunks that are written new, or do not apply to other samples."""
_MOST_CHUNK_BYTES = 1 << 24
_INFO = {
    "title": "INAM", "artist": "IART", "album": "IPRD", "comment": "ICMT", "description": "ICMT", "date": "ICRD",
    "creation_time": "ICRD", "genre": "IGNR", "copyright": "ICOP", "language": "ILNG", "track": "IPRT",
    "engineer": "IENG", "keywords": "IKEY",
}  # fmt: skip
_BEXT = {
    "description": (0, 256), "originator": (256, 32), "originator_reference": (288, 32), "origination_date": (320, 10),
    "origination_time": (330, 8),
}  # fmt: skip
"""Offset and length of the texts in ``bext``."""
_DS64_SIZE = 36
_LOUDNESS = slice(412, 422)
_NOT_MEASURED = struct.pack("<h", 0x7FFF) * 5


def wav_header(
    sample_rate: int, num_channels: int, num_samples: int, subtype: str = "PCM_16", extra: bytes = b"",
    rf64: bool = False,
) -> bytes:  # fmt: skip
    """Return what stands before the samples.

    Beyond 4 GB the sizes say "until the end", as readers of streams expect; RF64 gives them in full.

    Args:
        sample_rate: in Hz.
        num_channels: C.
        num_samples: N.
        subtype: PCM_16, PCM_24, PCM_32 or FLOAT.
        extra: further chunks.
        rf64: whether to write RF64 in place of RIFF.
    """
    width = NUM_BYTES[subtype] * num_channels
    code = _FLOAT if subtype == "FLOAT" else _PCM
    form = struct.pack("<HHIIHH", code, num_channels, sample_rate, width * sample_rate, width, 8 * NUM_BYTES[subtype])
    fact = _chunk(b"fact", struct.pack("<I", min(num_samples, UNKNOWN_SIZE))) if code == _FLOAT else b""
    chunks, num_bytes = _chunk(b"fmt ", form) + fact + extra, width * num_samples
    size = 4 + len(chunks) + 8 + num_bytes + num_bytes % 2
    if rf64:
        sizes = struct.pack("<QQQI", size + _DS64_SIZE, num_bytes, num_samples, 0)
        name, size, num_bytes, chunks = b"RF64", UNKNOWN_SIZE, UNKNOWN_SIZE, _chunk(b"ds64", sizes) + chunks
    else:
        name = b"RIFF"
        if size >= UNKNOWN_SIZE:
            size = num_bytes = UNKNOWN_SIZE
    return struct.pack("<4sI4s", name, size, b"WAVE") + chunks + struct.pack("<4sI", b"data", num_bytes)


def quantise(block: np.ndarray, subtype: str) -> np.ndarray:
    """Return the nearest values (N, C) that a file can store: int64 of that many bits, clipped; floats as they are."""
    if subtype == "FLOAT":
        return block.astype(np.float32)
    scale = 2.0 ** (8 * NUM_BYTES[subtype] - 1)
    return np.clip(np.rint(block.astype(np.float64) * scale), -scale, scale - 1).astype(np.int64)


def as_stored(block: np.ndarray, subtype: str) -> np.ndarray:
    """Return samples (N, C) as they come back from a file: float32, rounded and clipped, unless it stores floats."""
    scale = 1.0 if subtype == "FLOAT" else 2.0 ** (8 * NUM_BYTES[subtype] - 1)
    return (quantise(block, subtype) / scale).astype(np.float32)


def to_bytes(block: np.ndarray, subtype: str) -> bytes:
    """Return samples (N, C) as the bytes of a file, rounded to the nearest value."""
    values = quantise(block, subtype)
    if subtype == "PCM_24":
        return values.astype("<i4").reshape(-1).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return values.astype({"PCM_16": "<i2", "PCM_32": "<i4", "FLOAT": "<f4"}[subtype]).tobytes()


class WavWriter:
    """Write a WAV file of known length; a context manager.

    Raises:
        OSError: the disk is full, or the like.
    """

    def __init__(
        self, path: Path, sample_rate: int, num_channels: int, num_samples: int, subtype: str = "PCM_16",
        extra: bytes = b"",
    ) -> None:  # fmt: skip
        self._form = sample_rate, num_channels
        self._subtype, self._extra, self._expected, self._written = subtype, extra, num_samples, 0
        num_bytes = num_samples * num_channels * NUM_BYTES[subtype]
        self._rf64 = num_bytes + len(extra) + 4096 > UNKNOWN_SIZE
        self._file = path.open("wb")
        self._file.write(self._header(num_samples))

    def _header(self, num_samples: int) -> bytes:
        return wav_header(*self._form, num_samples, self._subtype, self._extra, self._rf64)

    def write(self, block: np.ndarray) -> None:
        """Write samples (N, C)."""
        self._written += len(block)
        self._file.write(to_bytes(block, self._subtype))

    def close(self) -> None:
        """Write the end of the file; if its length is not the one announced, the header anew."""
        if self._file.closed:
            return
        try:
            if self._written * self._form[1] * NUM_BYTES[self._subtype] % 2:
                self._file.write(b"\0")
            if self._written != self._expected and len(self._header(self._written)) == len(
                self._header(self._expected)
            ):
                self._file.seek(0)
                self._file.write(self._header(self._written))
        finally:
            self._file.close()

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def carried_chunks(source: Path, tags: Mapping[str, str]) -> bytes:
    """Return the chunks that an enhanced copy takes over from a recording: its own if it is WAV, else from its tags."""
    try:
        with source.open("rb") as file:
            own = b"".join(_chunk(name, _settle(name, content)) for name, content in _read_chunks(file))
    except OSError:
        own = b""
    return own or _from_tags(tags)


def is_cut_short(path: Path) -> bool:
    """Return whether a WAV file ends before the end of its samples, as its header gives it; False for other files."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            return False
        while len(start := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", start)
            if name == b"data":
                return bool(size < UNKNOWN_SIZE - (1 << 16) and file.tell() + size > path.stat().st_size)
            file.seek(size + size % 2, 1)
    return False


def _read_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a RIFF, RF64 or BW64 file that are not written anew; none of another kind of file."""
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
        return
    left, data_size, file_size, is_after = _MOST_CHUNK_BYTES, 0, file.seek(0, 2), False
    file.seek(12)
    while len(start := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", start)
        length = data_size if name == b"data" and size == UNKNOWN_SIZE else size
        end = file.tell() + length + length % 2
        if (name == b"data" and not length) or (is_after and not _is_name(name)):  # samples up to the end of the file
            return
        is_after = is_after or name == b"data"
        if name == b"ds64" and size >= 16:
            data_size = struct.unpack("<8xQ", file.read(16))[0]
        elif name not in _OWN_CHUNKS and _is_name(name) and size <= left:
            left -= size
            content = file.read(size)
            if len(content) == size:
                yield name, content
        if end >= file_size:
            return
        file.seek(end)


def _is_name(name: bytes) -> bool:
    """Return whether four bytes can name a chunk; samples that are taken for one rarely can."""
    return all(0x20 <= byte < 0x7F for byte in name)


def _settle(name: bytes, content: bytes) -> bytes:
    """Take out of ``bext`` the loudness that was measured on other samples."""
    if name == b"bext" and len(content) >= 602 and struct.unpack_from("<H", content, 346)[0] >= 2:
        return content[: _LOUDNESS.start] + _NOT_MEASURED + content[_LOUDNESS.stop :]
    return content


def _from_tags(tags: Mapping[str, str]) -> bytes:
    """Return a ``bext`` chunk where a time reference is known, and an INFO list."""
    chunks = _bext(tags) if tags.get("time_reference", "").isdigit() else b""
    fields: dict[str, str] = {}
    for tag, name in _INFO.items():
        if tags.get(tag):
            fields.setdefault(name, tags[tag])
    if fields:
        content = b"".join(_chunk(name.encode(), value.encode() + b"\0") for name, value in fields.items())
        chunks += _chunk(b"LIST", b"INFO" + content)
    return chunks


def _bext(tags: Mapping[str, str]) -> bytes:
    content = bytearray(602)
    for tag, (start, size) in _BEXT.items():
        value = tags.get(tag, "").encode("ascii", "replace")[:size]
        content[start : start + len(value)] = value
    struct.pack_into("<Q", content, 338, int(tags["time_reference"]) & (2**64 - 1))
    struct.pack_into("<H", content, 346, 1)
    return _chunk(b"bext", bytes(content))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)
