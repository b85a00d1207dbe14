"""Find the recordings of a batch, and name their outputs: the tree of the input, mirrored.

Two recordings of one folder that would share an output (talk.mp4 and talk.mkv) both keep their suffix in its name:
talk.mp4.wav and talk.mkv.wav.
"""

from __future__ import annotations

import codecs
import functools
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from avse.batch import storage
from avse.errors import UsageError
from avse.io.formats import AUDIO_OUTPUTS, VIDEO_OUTPUTS, is_video
from avse.io.listing import Listing, describe_passed_over

KEPT = AUDIO_OUTPUTS | VIDEO_OUTPUTS
FACES_JSON = "faces.json"
SUFFIXES = (*sorted(KEPT), "keep")


@dataclass(frozen=True)
class Item:
    """Hold one recording: its name below the input folder, its place, and that of its output (paths or URLs).

    ``may_replace`` tells whether an output that is there is replaced. With a folder of one file for each person,
    ``output`` is its faces.json, and ``suffix`` the type of the files; else ``suffix`` is empty. ``audio_output`` is
    written in place of ``output`` where a video file turns out to have no video; empty if that is an error.
    """

    name: str
    source: str
    output: str
    may_replace: bool = True
    suffix: str = ""
    audio_output: str = ""


@dataclass(frozen=True)
class Found:
    """Hold the items of a batch, and the files of its folder that are not recordings, with the reason for each."""

    items: list[Item]
    passed_over: dict[str, str]


def find(folder: str, output: str, **choice: Any) -> list[Item]:
    """Return the items that `survey` finds."""
    return survey(folder, output, **choice).items


def survey(
    folder: str,
    output: str,
    *,
    suffix: str = ".wav",
    pattern: str | None = None,
    recursive: bool = True,
    listed: Path | None = None,
    each_person: bool = False,
) -> Found:
    """Find every recording below ``folder`` in a fixed order, or those that the lines of the file ``listed`` name.

    Args:
        folder: a folder or an fsspec URL; names in a list are relative to it.
        output: folder or URL of the mirrored tree; what lies in it is no input.
        suffix: of the outputs, one that avse can write; or "keep", each recording's own where it can be
            written, else .mkv for video and .wav for audio; talk.mp4 without video becomes talk.mp4.wav.
        each_person: each recording becomes a folder with a file for each person.
        pattern: only names, or whole paths below the folder, that match it (``*.mp4``, ``monday/*``).

    Raises:
        UsageError: nothing to do, the output is the input, a listed name leads out of the folder.
    """
    if suffix not in SUFFIXES:
        raise UsageError(f"Unknown suffix {suffix!r}.", f"Use one of: {', '.join(SUFFIXES)}")
    if storage.relative(output, folder) == ".":
        raise UsageError(f"{output} is the input folder itself.", "Choose another folder for the outputs.")

    @functools.cache
    def is_in_output(inside: str) -> bool:
        """Return whether a folder below the input, by its name there, is the output folder or lies in it."""
        is_output = storage.relative(storage.join(folder, inside), output) == "."
        return is_output or (inside != "" and is_in_output(posixpath.dirname(inside)))

    def is_wanted(name: str) -> bool:
        is_own = not listed and is_in_output(posixpath.dirname(name))
        fits = pattern is None or fnmatch(name, pattern) or fnmatch(posixpath.basename(name), pattern)
        return fits and not is_own

    there = Listing(read_list(listed, folder)) if listed else storage.recordings(folder, recursive)
    names = [name for name in there.names if is_wanted(name)]
    passed_over = {name: reason for name, reason in there.passed_over.items() if is_wanted(name)}
    if not names:
        others = describe_passed_over(passed_over)
        hint = f"{others}. " if others else ""
        raise UsageError(f"No recordings in {listed or folder}.", f"{hint}Check the folder, --glob and --recursive.")
    if each_person:
        if storage.is_url(output):
            raise UsageError("--speaker all writes to local folders only.", "Use a local folder: -o DIR")
        made = mirrored(names, "").items()
        return Found([_folder_item(folder, output, name, place, suffix) for name, place in made], passed_over)
    outputs = mirrored(names, suffix)
    audio_outputs = without_video(outputs, output) if suffix == "keep" else {}
    places = {name: (storage.join(folder, name), storage.join(output, outputs[name])) for name in names}
    return Found([Item(name, *places[name], audio_output=audio_outputs.get(name, "")) for name in names], passed_over)


def read_list(listed: Path, folder: str) -> list[str]:
    """Return the names below the folder that a file gives, one a line, in order, each once.

    The file may begin with a byte order mark, and end its lines as any system does.
    """
    try:
        text = decode_list(listed.read_bytes())
    except OSError as error:
        raise UsageError(
            f"{listed} cannot be read: {error.strerror}.", "Use a text file with one recording per line."
        ) from None
    names: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        if "\0" in line:
            raise UsageError(f"{listed}, line {number}, is not a file name.", "Write one recording per line.")
        name = storage.relative(line, folder) if storage.is_absolute(line) else posixpath.normpath(line)
        if name is None or name.split("/")[0] in ("", ".", ".."):
            raise UsageError(
                f"{line} is not inside {folder}.", "Use a folder that contains all recordings in the list."
            )
        names[name] = None
    return list(names)


def decode_list(data: bytes) -> str:
    """Decode a list of names: UTF-16 with a byte order mark, else UTF-8; other bytes stay as they are."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def mirrored(names: Iterable[str], suffix: str) -> dict[str, str]:
    """Return the output's name for each recording's name. UsageError if two still share one."""
    plain = {name: str(PurePosixPath(name).with_suffix(_suffix_for(name, suffix))) for name in names}
    shared = Counter(plain.values())
    outputs = {name: name + _suffix_for(name, suffix) if shared[made] > 1 else made for name, made in plain.items()}
    owners: dict[str, str] = {}
    for name, made in outputs.items():
        if (other := owners.setdefault(made, name)) != name:
            raise UsageError(
                f"{other} and {name} would both be written to {made}.", "Rename one, or exclude one with --glob."
            )
    return outputs


def without_video(outputs: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return the output for each video that may turn out to be audio: its own name, so that none is shared."""
    taken = set(outputs.values())
    others = {name: f"{name}.wav" for name, made in outputs.items() if is_video(made)}
    return {name: storage.join(folder, other) for name, other in others.items() if other not in taken}


def _folder_item(folder: str, output: str, name: str, made: str, suffix: str) -> Item:
    place = storage.join(output, f"{made}/{FACES_JSON}")
    return Item(name, storage.join(folder, name), place, suffix=_suffix_for(name, suffix))


def _suffix_for(name: str, suffix: str) -> str:
    own = PurePosixPath(name).suffix.lower()
    if suffix != "keep":
        return suffix
    return own if own in KEPT else ".mkv" if is_video(name) else ".wav"
