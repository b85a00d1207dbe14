"""The one table of file types: which suffixes are recordings, and what each can hold where avse writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType


@dataclass(frozen=True)
class FileType:
    """What a suffix stands for.

    ``encoder`` is the audio encoder that an output of that type gets; empty where avse only reads the type.
    ``libsndfile`` says that such a file can be read (and, with an encoder, written) without ffmpeg.
    """

    suffix: str
    is_video: bool
    encoder: str = ""
    libsndfile: bool = False


def _file_types() -> dict[str, FileType]:
    audio_inputs = (
        ".aac", ".ac3", ".aif", ".aiff", ".amr", ".au", ".caf", ".eac3", ".m4b", ".mka", ".mp2", ".oga", ".ogg",
        ".opus", ".mp3", ".m4a", ".w64", ".wma", ".wv",
    )  # fmt: skip
    video_inputs = (
        ".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts",
        ".vob", ".webm", ".wmv",
    )  # fmt: skip
    outputs = (
        FileType(".wav", False, "pcm_s16le", libsndfile=True),
        FileType(".flac", False, "flac", libsndfile=True),
        FileType(".mp4", True, "aac"),
        FileType(".mov", True, "aac"),
        FileType(".mkv", True, "flac"),
    )
    table = {suffix: FileType(suffix, False, libsndfile=suffix == ".ogg") for suffix in audio_inputs}
    table |= {suffix: FileType(suffix, True) for suffix in video_inputs}
    return table | {kind.suffix: kind for kind in outputs}


FILE_TYPES: Mapping[str, FileType] = MappingProxyType(_file_types())
"""Every suffix that avse knows, in lower case, with its dot."""

AUDIO_FILES = frozenset(suffix for suffix, kind in FILE_TYPES.items() if not kind.is_video)
VIDEO_FILES = frozenset(suffix for suffix, kind in FILE_TYPES.items() if kind.is_video)
AUDIO_OUTPUTS = frozenset(suffix for suffix in AUDIO_FILES if FILE_TYPES[suffix].encoder)
VIDEO_OUTPUTS = frozenset(suffix for suffix in VIDEO_FILES if FILE_TYPES[suffix].encoder)


def is_audio(path: PurePath | str) -> bool:
    """Return whether a file is audio by its suffix, in upper or lower case."""
    return PurePath(path).suffix.lower() in AUDIO_FILES


def is_video(path: PurePath | str) -> bool:
    """Return whether a file is a video by its suffix, in upper or lower case."""
    return PurePath(path).suffix.lower() in VIDEO_FILES


def is_recording(path: PurePath | str) -> bool:
    """Return whether a file is audio or video by its suffix."""
    return PurePath(path).suffix.lower() in FILE_TYPES


def read_by_libsndfile(path: PurePath | str) -> bool:
    """Return whether a file can be read without ffmpeg, by its suffix."""
    kind = FILE_TYPES.get(PurePath(path).suffix.lower())
    return kind is not None and kind.libsndfile
