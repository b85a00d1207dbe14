"""Remux: copy the video and all that goes with it, and replace the audio."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

import soundfile

from avse.config import SAMPLE_RATE
from avse.errors import InputError, MissingError
from avse.io import atomic, metadata, reader
from avse.io.covers import attach_arguments
from avse.io.encoding import DEFAULT_SETTINGS, OutputSettings, encoder_arguments, notice_lost
from avse.io.ffmpeg import QUIET, Limits, ask, input_arguments, run, stream_output
from avse.io.ffmpeg_errors import retry_hint
from avse.io.probe import OTHER_AUDIO_TRACKS
from avse.io.recording import Recording
from avse.io.stream_info import ATTACHMENT, AUDIO, SUBTITLE, VIDEO, FileInfo, StreamInfo, parse_info, tag
from avse.io.tracks import ATTACH, MUXERS, OutputTrack, describe, plan_tracks

_PREROLL_SECONDS = 0.04
"""Duration in a .mkv file of frames that an edit list hides but that later frames need for decoding."""
_FRAGMENTED = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")
"""Required to write .mp4 to a pipe."""


def mux_audio_under_video(video: Path, audio: Path, output: Path) -> None:
    """Write ``output`` (.mkv): the video stream copied until the audio ends, the audio in place of the video's own.

    Bit-exact: no date, version or random number, so that the same inputs give the same bytes with the same ffmpeg.
    """
    clip = reader.probe(video)
    if clip.video is None:
        raise InputError(f"{video} has no video.", "Exclude this file.")
    begins = [track.start_seconds for track in (clip.audio, clip.video) if track]
    delay = begins[0] - min(begins) if clip.audio else 0.0
    ordering = ["-bsf:v", "dts2pts"] if _lacks_order(clip, clip.info.video_tracks[0]) else []
    half_a_sample = 0.5 / SAMPLE_RATE  # so that rounding to microseconds costs none
    end_seconds = delay + soundfile.info(os.fsencode(audio)).duration + half_a_sample
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic.atomic_path(output) as partial:
        arguments = [
            *_packets(clip, "-itsoffset", f"{-min(begins):.6f}"),
            "-itsoffset", f"{delay:.6f}", "-i", f"file:{audio}", "-map", "0:V:0", "-map", "1:a:0", "-c:v", "copy",
            *ordering, "-c:a", "flac", "-t", f"{end_seconds:.6f}", "-map_metadata", "-1", "-fflags", "+bitexact",
            "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-f", "matroska",
        ]  # fmt: skip
        _write(clip, arguments, partial, f"{video} cannot be combined with an audio file")


def replace_audio(media: Recording, audio: Path, output: Path, settings: OutputSettings = DEFAULT_SETTINGS) -> None:
    """Write ``output`` with the video of ``media`` copied bit by bit and ``audio`` in place of its audio track.

    Everything else that the container can hold is copied too: further video tracks, subtitles, attachments, chapters,
    tags, rotation, timecode. What it cannot hold is a notice of ``media``.

    Raises:
        InputError: files of that kind cannot hold that video. MissingError: the disk is full.
    """
    suffix = output.suffix.lower()
    fits = partial(_fits, media, suffix)
    tracks, rejected = plan_tracks(media.info, media.audio_track, suffix, settings.keep_tracks, fits)
    copied = [track for track in tracks if track.codec != ATTACH]
    covers = [track.stream for track in tracks if track.codec == ATTACH]
    sources = ["1:a:0" if track.is_new_audio else f"0:{track.stream.index}" for track in copied]
    with attach_arguments(media, covers, len(copied)) as attached:
        arguments = [
            *_inputs(media, audio),
            *(word for source in sources for word in ("-map", source)),
            *_track_arguments(media, copied, suffix, settings),
            *_tag_arguments(media.info, suffix),
            *attached,
            "-strict", "unofficial", "-f", MUXERS[suffix],
        ]  # fmt: skip
        failure = f"The video of {media.path} cannot be copied into a {output.suffix} file"
        _write(media, arguments, output, failure, _fits_hint(suffix))
    if settings.keep_tracks:
        media.is_kept(OTHER_AUDIO_TRACKS)
    _notice_losses(media, output, rejected, tracks)


def enhanced_track(
    recording: Path, output: Path, audio_track: int | None, limits: Limits, settings: OutputSettings
) -> int | None:
    """Return which audio track of an output is the new one, counted from 1; None if it has no other track.

    ``audio_track``, ``limits`` and ``settings`` are those with which the output was made.
    """
    suffix = output.suffix.lower()
    if not settings.keep_tracks or suffix not in MUXERS:
        return None
    media = reader.probe(recording, audio_track, limits)
    earlier = media.info.of_kind(AUDIO)[: media.audio_track - 1]
    return 1 + sum(_fits(media, suffix, stream, "copy") for stream in earlier)


def check_video_fits(media: Recording, suffix: str) -> None:
    """Raise InputError where files of that kind cannot hold that video; a frame is tried, and written nowhere."""
    suffix = suffix.lower()
    arguments = [
        *_packets(media), "-map", "0:V:0", "-c", "copy", "-frames:v", "1",
        *(_FRAGMENTED if suffix != ".mkv" else ()), "-strict", "unofficial", "-f", MUXERS[suffix], "pipe:1",
    ]  # fmt: skip
    failure = f"The video of {media.path} cannot be copied into a {suffix} file"
    with stream_output([*arguments, *QUIET], media.limits, failure, _fits_hint(suffix)) as written:
        while written.read(1 << 16):
            pass


def _fits_hint(suffix: str) -> str:
    return retry_hint() if suffix == ".mkv" else "Use .mkv, which holds any video codec."


def _write(media: Recording, arguments: list[str], output: Path, failure: str, hint: str = "") -> None:
    """Run ffmpeg on arguments that end before the name of the output."""
    assert media.video is not None
    media.limits.grant(media.duration_seconds)
    command = [*arguments, "-progress", "pipe:1", "-y", *QUIET, f"file:{output}"]
    with stream_output(command, media.limits, failure, hint) as pipe:
        for _ in pipe:
            pass


def _packets(media: Recording, *options: str) -> list[str]:
    """Return the recording as an input to copy from: packets without a time of display (.avi, .vob, .mpg) get one."""
    return input_arguments(media.path, media.limits, "-fflags", "+genpts", *options)


def _inputs(media: Recording, audio: Path) -> list[str]:
    """Return inputs for the recording and the new audio, shifted so that the file begins at 0."""
    assert media.audio is not None
    assert media.video is not None
    begin = min(media.audio.start_seconds, media.video.start_seconds)
    delay = media.audio.start_seconds - begin
    video = _packets(media, "-itsoffset", f"{-begin:.6f}")
    return [*video, "-itsoffset", f"{delay:.6f}", "-i", f"file:{audio}"]


def _track_arguments(media: Recording, tracks: list[OutputTrack], suffix: str, settings: OutputSettings) -> list[str]:
    """Return codec, tags, flags and bitstream filters of every output track."""
    preroll = _preroll(media) if suffix == ".mkv" else None
    arguments = []
    for number, track in enumerate(tracks):
        if track.is_new_audio:
            arguments += encoder_arguments(media, suffix, settings, number)
            arguments += [f"-disposition:{number}", "+".join(_dispositions(track.stream)) or "0"]
        else:
            arguments += [f"-c:{number}", track.codec]
            arguments += _filters(media, track, number, preroll)
        if track.stream.index >= 0:
            arguments += [f"-map_metadata:s:{number}", f"0:s:{track.stream.index}"]
        if track.stream.language:
            language = metadata.language_for(track.stream.language, suffix)
            arguments += [f"-metadata:s:{number}", f"language={language}"]
        if track.stream.title:
            arguments += [f"-metadata:s:{number}", f"title={track.stream.title}"]
            if suffix != ".mkv":  # the only one that ffmpeg 5 writes
                arguments += [f"-metadata:s:{number}", f"handler_name={track.stream.title}"]
        if track.stream.codec == "hevc" and suffix != ".mkv" and "dvh" not in track.stream.description:
            arguments += [f"-tag:{number}", "hvc1"]  # the only one for Apple's players
    return arguments


def _tag_arguments(info: FileInfo, suffix: str) -> list[str]:
    """Return the tags of the file; those that describe the old container are omitted."""
    arguments = ["-map_metadata", "0", "-map_chapters", "0"]
    for name in ("major_brand", "minor_version", "compatible_brands", "encoder"):
        arguments += ["-metadata", f"{name}="]
    if date := tag(info.tags, "creation_time").partition(";")[0]:
        arguments += ["-metadata", f"creation_time={date}"]
    if suffix == ".mkv":
        return arguments
    if any(key.startswith("com.") for key in info.tags):
        arguments += ["-movflags", "+use_metadata_tags"]
    if any(stream.tags.get("timecode") for stream in info.video_tracks) or info.tags.get("timecode"):
        arguments += ["-write_tmcd", "1"]
    return arguments


def _dispositions(stream: StreamInfo) -> list[str]:
    """Return the flags of the audio track that is replaced, as ffmpeg names them."""
    return sorted(flag.replace(" ", "_") for flag in stream.flags)


def _filters(media: Recording, track: OutputTrack, number: int, preroll: tuple[float, float] | None) -> list[str]:
    """Return bitstream filters that give a copied track the times that it has in the recording."""
    if track.codec != "copy":
        return []
    if _lacks_order(media, track.stream):
        return [f"-bsf:{number}", "dts2pts"]
    return _hiding(track, number, preroll) if preroll else []


def _lacks_order(media: Recording, stream: StreamInfo) -> bool:
    """Return whether only the frames themselves tell when each is shown.

    .avi has no such times; ffmpeg guesses them right if at most one frame is out of order, as in MPEG-4.
    """
    return media.info.container == "avi" and stream.codec in ("h264", "hevc") and "dts2pts" in ask("-bsfs")


def _hiding(track: OutputTrack, number: int, preroll: tuple[float, float]) -> list[str]:
    """Return bitstream filters that drop what an edit list hides at the beginning; .mkv has no edit lists.

    Video packets are needed to decode what follows: their times are squeezed together. Audio packets are dropped.
    """
    first, shown = preroll
    if track.stream.kind == AUDIO:
        return [f"-bsf:{number}", f"noise=drop=lt(pts*tb\\,{shown:.6f})"]
    if track.stream.kind != VIDEO or track.stream.is_cover:
        return []
    scale = _PREROLL_SECONDS / (shown - first)
    squeezed = "if(lt({0}*TB\\,{1:.6f})\\,({1:.6f}-{2:.9f}*({1:.6f}-{0}*TB))/TB\\,{0})"
    pts, dts = (squeezed.format(name, shown, scale) for name in ("PTS", "DTS"))
    return [f"-bsf:{number}", f"setts=pts={pts}:dts={dts}"]


def _preroll(media: Recording) -> tuple[float, float] | None:
    """Return, in output time, the first packet that an edit list hides, and the first frame shown; None if none."""
    assert media.audio is not None
    assert media.video is not None
    arguments = [
        *_packets(media), "-map", "0:V:0", "-c", "copy", "-frames:v", "1", "-f", "framecrc", "pipe:1",
    ]  # fmt: skip
    facts, _ = run(arguments, media.limits, f"ffmpeg cannot read {media.path}")
    base = re.search(r"^#tb 0: (\d+)/(\d+)", facts, re.MULTILINE)
    packet = re.search(r"^0,\s*-?\d+,\s*(-?\d+),.*F=0x([0-9a-fA-F]+)", facts, re.MULTILINE)
    if base is None or packet is None or not int(packet[2], 16) & 4:
        return None
    begin = min(media.audio.start_seconds, media.video.start_seconds)
    first = int(packet[1]) * int(base[1]) / int(base[2]) - begin
    shown = media.video.start_seconds - begin
    return (first, shown) if first < shown - _PREROLL_SECONDS else None


def _fits(media: Recording, suffix: str, track: StreamInfo, codec: str) -> bool:
    """Return whether a container can hold a track, by a trial with its beginning."""
    codec = "copy" if codec == ATTACH else codec
    arguments = [
        *_packets(media), "-map", f"0:{track.index}", "-c", codec, "-t", "1",
        *(_FRAGMENTED if suffix != ".mkv" else ()), "-strict", "unofficial", "-f", MUXERS[suffix], "pipe:1",
    ]  # fmt: skip
    try:
        with stream_output([*arguments, *QUIET], media.limits, "It does not fit") as written:
            while written.read(1 << 16):
                pass
    except MissingError:
        raise
    except InputError:
        return False
    return True


def _notice_losses(media: Recording, output: Path, rejected: list[StreamInfo], tracks: list[OutputTrack]) -> None:
    """Add notices of what the recording carries and the written output lacks."""
    _, words = run(input_arguments(output, media.limits), media.limits, f"ffmpeg cannot read {output}")
    after = parse_info(words)
    lost = [describe(stream) for stream in rejected]
    pairs = []
    for kind in (VIDEO, AUDIO, SUBTITLE, ATTACHMENT):
        expected = [track.stream for track in tracks if track.stream.kind == kind]
        written = after.of_kind(kind)
        pairs += list(zip(expected, written, strict=False))
        lost += [describe(stream) for stream in expected[len(written) :]]
    notice_lost(media, output, lost + metadata.missing(media.info, after, pairs))
