"""What a file holds, as ffmpeg prints it: tags, chapters, and tracks with their languages, flags and side data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

VIDEO, AUDIO, SUBTITLE, DATA, ATTACHMENT = "Video", "Audio", "Subtitle", "Data", "Attachment"
_STREAM = re.compile(r"^ +Stream #0:(\d+)(?:\[\w+\])?(?:\((.+?)\))?: (Video|Audio|Subtitle|Data|Attachment): (.*)$")
_TAG = re.compile(r"^ +(\S.*?) *: (.*)$")
_CONTINUATION = re.compile(r"^ +: (.*)$")
"""A continuation line of the previous tag."""
_FLAG = re.compile(
    r"\((default|dub|original|comment|lyrics|karaoke|forced|hearing impaired|visual impaired|clean effects|attached pic"
    r"|captions|descriptions)\)"
)
"""Dispositions of a track, as ffmpeg calls them."""
_PROGRAM = re.compile(r"^  (No )?Program\b")
"""A line that begins the list of a program's tracks: its tags are not those of a track."""
LOWEST_FRAME_RATE, HIGHEST_FRAME_RATE = 0.5, 1000.0
"""Frame rates of usual videos, in frames per second."""
_END = ("Stream mapping:", "Output #0", "At least one output", "Press [q]")


@dataclass
class StreamInfo:
    """Describe a track: its number among all, kind, ffmpeg's description, language ("" if not known), flags, tags."""

    index: int
    kind: str
    description: str
    language: str = ""
    flags: frozenset[str] = frozenset()
    tags: dict[str, str] = field(default_factory=dict)
    side_data: dict[str, str] = field(default_factory=dict)

    @property
    def codec(self) -> str:
        """Return the name of the codec, such as h264, or none where ffmpeg does not know it."""
        return re.split(r"[ ,]", self.description, maxsplit=1)[0]

    @property
    def is_cover(self) -> bool:
        """Return whether this is a still image attached to the file, such as the cover of a record."""
        return "attached pic" in self.flags

    @property
    def is_default(self) -> bool:
        """Return whether players choose this track among those of its kind."""
        return "default" in self.flags

    @property
    def title(self) -> str:
        """Return the name of the track as an editor shows it."""
        return next((self.tags[key] for key in ("title", "name") if self.tags.get(key)), "")


@dataclass
class FileInfo:
    """Describe a file: claimed length in seconds (0 if unknown), whether that is a guess, tags, chapters and tracks.

    ``container`` is ffmpeg's name for its kind, such as avi.
    """

    duration_seconds: float = 0.0
    duration_is_estimated: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    num_chapters: int = 0
    streams: list[StreamInfo] = field(default_factory=list)
    container: str = ""

    def of_kind(self, kind: str) -> list[StreamInfo]:
        """Return the tracks of one kind, in order."""
        return [stream for stream in self.streams if stream.kind == kind]

    @property
    def video_tracks(self) -> list[StreamInfo]:
        """Return the video tracks, without cover images."""
        return [stream for stream in self.of_kind(VIDEO) if not stream.is_cover]

    @property
    def odd_frame_rate(self) -> float | None:
        """Return the frame rate of the video in the header, if no usual video has such a rate; None otherwise."""
        found = [re.search(r", ([\d.]+)(k?) fps", stream.description) for stream in self.video_tracks[:1]]
        rates = [float(match[1]) * (1000 if match[2] else 1) for match in found if match]
        return next((rate for rate in rates if not LOWEST_FRAME_RATE <= rate <= HIGHEST_FRAME_RATE), None)


def parse_info(words: str) -> FileInfo:
    """Return what ffmpeg's messages about its first input say; keys of tags are in lower case."""
    info = FileInfo(duration_is_estimated="Estimating duration from bitrate" in words, container=_container(words))
    tags: dict[str, str] | None = None
    stream: StreamInfo | None = None
    for line in _input_lines(words):
        if found := _STREAM.match(line):
            stream = _stream(*found.groups())
            if all(known.index != stream.index for known in info.streams):  # each program lists its tracks
                info.streams.append(stream)
            tags = stream.tags
        elif line.lstrip().startswith("Chapter #0:"):
            info.num_chapters, tags = info.num_chapters + 1, {}
        elif duration := re.match(r"  Duration: (\d+):(\d+):(\d+\.\d+)", line):
            hours, minutes, seconds = map(float, duration.groups())
            info.duration_seconds, tags = 3600 * hours + 60 * minutes + seconds, None
        elif _PROGRAM.match(line):
            tags = None
        elif line.startswith("  Metadata:"):
            tags = info.tags
        elif line.strip() == "Side data:" and stream:
            tags = stream.side_data
        elif tags and (found := _CONTINUATION.match(line)):
            tags[next(reversed(tags))] += "\n" + found[1]
        elif (found := _TAG.match(line)) and tags is not None:
            is_side_data = stream is not None and tags is stream.side_data
            tags.setdefault(_key(found[1], is_side_data), found[2])
    info.streams.sort(key=lambda stream: stream.index)
    return info


def _container(words: str) -> str:
    found = re.search(r"^Input #0, (.+?), from ", words, re.MULTILINE)
    return found[1] if found else ""


def _key(name: str, is_side_data: bool) -> str:
    """Return a tag in lower case; side data without spaces, as older versions of ffmpeg write them."""
    return name.lower().replace(" ", "") if is_side_data else name.lower()


def _input_lines(words: str) -> Iterator[str]:
    """Yield the lines about the first input."""
    started = False
    for line in words.splitlines():
        if line.startswith(_END):
            return
        if started:
            yield line
        started = started or line.startswith("Input #0")


def _stream(index: str, language: str | None, kind: str, description: str) -> StreamInfo:
    flags = frozenset(_FLAG.findall(description))
    known = "" if language in (None, "und") else str(language)
    return StreamInfo(int(index), kind, description, known, flags)


def tag(tags: Mapping[str, str], *names: str) -> str:
    """Return the first of several tags that is there, or an empty text."""
    return next((tags[name] for name in names if tags.get(name)), "")
