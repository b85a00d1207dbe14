"""Which tracks of a recording go into its enhanced copy, in which order, and which the new container cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from avse.io.stream_info import ATTACHMENT, AUDIO, DATA, SUBTITLE, VIDEO, FileInfo, StreamInfo

ATTACH = "attach"
"""Codec of a track that becomes an attachment: the cover of a .mkv file."""
COVERS = frozenset({"mjpeg", "png", "gif", "tiff"})
"""Codecs of pictures that are covers when they are attached."""
MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
TEXT_SUBTITLES = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "text", "mov_text"})
_GENERATED_TRACKS = ("tmcd", "(text /", "(chap")
"""Data tracks that the muxer generates from the tag ``timecode`` and the chapters."""


@dataclass(frozen=True)
class OutputTrack:
    """Describe a track of the output: the track of the input, its codec, and whether it is the new audio."""

    stream: StreamInfo
    codec: str = "copy"
    is_new_audio: bool = False


Fits = Callable[[StreamInfo, str], bool]
"""Return whether the container can hold a track with that codec, by trying it."""


def plan_tracks(
    info: FileInfo, audio_track: int, suffix: str, keep_audio: bool, fits: Fits
) -> tuple[list[OutputTrack], list[StreamInfo]]:
    """Return the tracks of the output, the main video first, then audio, then the rest, and those that do not fit.

    Args:
        info: what the input holds.
        audio_track: the number, from 1, of the audio track that is replaced.
        suffix: of the output: .mp4, .mov or .mkv.
        keep_audio: also copy the other audio tracks.
        fits: tries a track in the container.
    """
    audio = info.of_kind(AUDIO)
    new = audio[audio_track - 1] if audio_track <= len(audio) else StreamInfo(-1, AUDIO, "")
    planned = [OutputTrack(info.video_tracks[0])]
    rejected = []
    for stream in audio or [new]:
        if stream is new:
            planned.append(OutputTrack(stream, is_new_audio=True))
        elif keep_audio:
            (planned.append(OutputTrack(stream)) if fits(stream, "copy") else rejected.append(stream))
    for stream in info.streams:
        if stream.kind == AUDIO or stream is info.video_tracks[0] or _is_generated(stream):
            continue
        codec = codec_for(stream, suffix)
        if codec and fits(stream, codec):
            planned.append(OutputTrack(stream, codec))
        else:
            rejected.append(stream)
    planned.sort(key=lambda track: track.codec == ATTACH)  # ffmpeg puts attachments last
    return planned, rejected


def codec_for(stream: StreamInfo, suffix: str) -> str:
    """Return the codec under which a further track may go into a container; empty if certainly none."""
    is_matroska = suffix == ".mkv"
    if stream.is_cover:  # in .mov it would be a video track
        return {".mkv": ATTACH if stream.codec in COVERS else "", ".mp4": "copy"}.get(suffix, "")
    if stream.kind == SUBTITLE and stream.codec in TEXT_SUBTITLES:
        if is_matroska:
            return "srt" if stream.codec in ("mov_text", "text") else "copy"
        return "copy" if stream.codec == "mov_text" else "mov_text"
    allowed = {VIDEO: True, SUBTITLE: is_matroska, ATTACHMENT: is_matroska, DATA: not is_matroska}
    return "copy" if allowed[stream.kind] else ""


def describe(stream: StreamInfo) -> str:
    """Name a track for a message, such as ``subtitles (hdmv_pgs_subtitle, deu)``."""
    kind = {
        VIDEO: "cover" if stream.is_cover else "video", AUDIO: "audio", SUBTITLE: "subtitles", DATA: "data",
        ATTACHMENT: "attachment",
    }[stream.kind]  # fmt: skip
    name = stream.tags.get("filename") or stream.title or stream.codec
    return f"{kind} ({', '.join(filter(None, (name, stream.language)))})"


def _is_generated(stream: StreamInfo) -> bool:
    return stream.kind == DATA and any(word in stream.description for word in _GENERATED_TRACKS)
