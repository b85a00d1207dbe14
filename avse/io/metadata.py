"""Metadata of a recording (tags, chapters, colour, rotation, ...), and what of it a copy lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avse.io.stream_info import FileInfo, StreamInfo
from avse.io.tracks import describe

HOUSEKEEPING = frozenset({
    "encoder", "major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id", "duration", "bps",
    "number_of_frames", "number_of_bytes", "language", "name", "encoded_by", "software", "encoding", "encoding_tool",
    "filename", "mimetype",
})  # fmt: skip
"""Tags that describe the file itself; the muxer of the copy writes its own."""
_PLACE = ("location", "com.apple.quicktime.location", "xyz")
_DEVICE = ("make", "model", "com.apple.quicktime.make", "com.apple.quicktime.model", "com.android.manufacturer")
_SIDE_DATA = {
    "displaymatrix": "rotation", "mastering": "HDR data", "contentlight": "HDR data", "dovi": "Dolby Vision data",
    "stereo": "3D layout", "spherical": "360-degree layout",
}  # fmt: skip
_MAC_LANGUAGES = {
    "deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb", "hye": "arm",
    "kat": "geo", "mkd": "mac", "bod": "tib", "mya": "bur", "msa": "may", "cym": "wel", "eus": "baq", "fre": "fra",
    "hrv": "hr ", "srp": "sr ",
}  # fmt: skip
"""Codes in QuickTime's table of languages that differ from ISO 639-2/T."""
_SAME_FLAG = {"captions": "hearing impaired", "descriptions": "visual impaired"}
"""Pairs of flags that ffmpeg reads from the same mark in .mp4."""
_MOST_NAMED = 6


def content_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that say something about the recording."""
    return {key: value for key, value in tags.items() if not _is_housekeeping(key) and value}


def missing(before: FileInfo, after: FileInfo, pairs: Sequence[tuple[StreamInfo, StreamInfo]]) -> list[str]:
    """Return names of what a video carries and its copy does not, each once.

    Args:
        before: the recording.
        after: the copy.
        pairs: tracks of the recording that were copied or replaced, and what became of them.
    """
    found = missing_tags(before.tags, after, before.num_chapters)
    lacking: dict[str, list[StreamInfo]] = {}
    for old, new in pairs:
        for name in _missing_of_track(old, new, after):
            lacking.setdefault(name, []).append(old)
    return found + [f"{name} of {_named(streams, pairs)}" for name, streams in lacking.items() if name not in found]


def missing_tags(tags: Mapping[str, str], after: FileInfo, num_chapters: int) -> list[str]:
    """Return names of the tags, and the chapters, that a copy lacks, each once; many are counted."""
    kept = {_without_language(key) for key in (*after.tags, *(key for stream in after.streams for key in stream.tags))}
    kept |= {"language"} if any(stream.language for stream in after.streams) else set()
    kept |= {"creation_time"} if "date" in kept else set()
    found = dict.fromkeys(_name(key) for key in content_tags(tags) if _without_language(key) not in kept)
    named = list(found)[:_MOST_NAMED] + ([f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else [])
    return named + (["chapters"] if after.num_chapters < num_chapters else [])


def language_for(language: str, suffix: str) -> str:
    """Return the name of a language in a container."""
    return _MAC_LANGUAGES.get(language, language) if suffix == ".mov" else language


def _missing_of_track(old: StreamInfo, new: StreamInfo, after: FileInfo) -> list[str]:
    found = {name: None for key, name in _SIDE_DATA.items() if _has(old, key) and not _has(new, key)}
    names = list(found)
    if old.language and new.language not in (old.language, _MAC_LANGUAGES.get(old.language, "").strip()):
        names.append("language")
    if old.title and old.title != new.title and old.title != new.tags.get("handler_name"):
        names.append("title")
    kept = {_without_language(key) for key in (*new.tags, *after.tags)} | {"title"}
    names += dict.fromkeys(_name(key) for key in content_tags(old.tags) if _without_language(key) not in kept)
    flags = [flag for flag in sorted(old.flags - new.flags) if _SAME_FLAG.get(flag) not in new.flags]
    return names + ([f"flag{'s' * (len(flags) > 1)} {', '.join(flags)}"] if flags else [])


def _named(streams: Sequence[StreamInfo], pairs: Sequence[tuple[StreamInfo, StreamInfo]]) -> str:
    """Return which tracks are meant: by its kind where there is but one, by its name, or their number."""
    if len(streams) > 1:
        return f"{len(streams)} tracks"
    is_only = [old.kind for old, _ in pairs].count(streams[0].kind) == 1
    return f"the {streams[0].kind.lower()}" if is_only else describe(streams[0])


def _has(stream: StreamInfo, key: str) -> bool:
    return any(name.startswith(key) for name in stream.side_data)


def _is_housekeeping(key: str) -> bool:
    return key in HOUSEKEEPING or key.startswith(("_statistics", "bps-", "duration-", "number_of_"))


def _without_language(key: str) -> str:
    """Return a tag without its language: ``location-eng`` is ``location``."""
    return "location" if key.startswith("location") else key


def _name(key: str) -> str:
    """Return the name of a tag in a message."""
    if key == "creation_time":
        return "date of recording"
    if key.startswith(_PLACE):
        return "place"
    return "device" if key.startswith(_DEVICE) else f"tag {key}"
