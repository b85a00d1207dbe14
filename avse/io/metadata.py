"""Metadata of a recording (tags, chapters, colour, rotation, ...), and what of it a copy lacks."""

from __future__ import annotations

from collections.abc import Mapping

from avse.io.stream_info import FileInfo, StreamInfo

HOUSEKEEPING = frozenset({
    "encoder", "major_brand", "minor_version", "compatible_brands", "handler_name", "vendor_id", "duration", "bps",
    "number_of_frames", "number_of_bytes", "language", "name", "encoded_by", "software", "encoding", "encoding_tool",
})  # fmt: skip
"""Tags that describe the file itself, which the muxer of the copy writes anew."""
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
"""What QuickTime's table of languages calls those that it does not name by ISO 639-2/T."""
_MOST_NAMED = 6


def content_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that say something about the recording."""
    return {key: value for key, value in tags.items() if not _is_housekeeping(key) and value}


def missing(before: FileInfo, after: FileInfo, old_audio: StreamInfo, new_audio: StreamInfo) -> list[str]:
    """Return names of what a video carries and its copy does not, each once."""
    found = dict.fromkeys(missing_tags(before.tags, after, before.num_chapters))
    pairs = [(old_audio, new_audio), *zip(before.video_tracks[:1], after.video_tracks[:1], strict=False)]
    for old, new in pairs:
        found |= dict.fromkeys(_missing_of_track(old, new))
    return list(found)


def missing_tags(tags: Mapping[str, str], after: FileInfo, num_chapters: int) -> list[str]:
    """Return names of the tags, and the chapters, that a copy lacks, each once; many are counted."""
    kept = {_short(key) for key in (*after.tags, *(key for stream in after.streams for key in stream.tags))}
    kept |= {"language"} if any(stream.language for stream in after.streams) else set()
    kept |= {"creation_time"} if "date" in kept else set()
    found = dict.fromkeys(_name(key) for key in content_tags(tags) if _short(key) not in kept)
    named = list(found)[:_MOST_NAMED] + ([f"{len(found) - _MOST_NAMED} more"] if len(found) > _MOST_NAMED else [])
    return named + (["chapters"] if after.num_chapters < num_chapters else [])


def language_for(language: str, suffix: str) -> str:
    """Return the name of a language in a container."""
    return _MAC_LANGUAGES.get(language, language) if suffix == ".mov" else language


def _missing_of_track(old: StreamInfo, new: StreamInfo) -> list[str]:
    kind = old.kind.lower()
    names = [name for key, name in _SIDE_DATA.items() if _has(old, key) and not _has(new, key)]
    if old.language and new.language not in (old.language, _MAC_LANGUAGES.get(old.language, "").strip()):
        names.append(f"language of the {kind}")
    if old.title and old.title != new.title and old.title != new.tags.get("handler_name"):
        names.append(f"title of the {kind}")
    if old.tags.get("timecode") and not new.tags.get("timecode"):
        names.append("timecode")
    return names


def _has(stream: StreamInfo, key: str) -> bool:
    return any(name.startswith(key) for name in stream.side_data)


def _is_housekeeping(key: str) -> bool:
    return key in HOUSEKEEPING or key.startswith(("_statistics", "bps-", "duration-"))


def _short(key: str) -> str:
    """Return a tag without its language: ``location-eng`` is ``location``."""
    return "location" if key.startswith("location") else key


def _name(key: str) -> str:
    """Return the name of a tag in a message."""
    if key == "creation_time":
        return "date of recording"
    if key.startswith(_PLACE):
        return "place"
    return "device" if key.startswith(_DEVICE) else f"tag {key}"
