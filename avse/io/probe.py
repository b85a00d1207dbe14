"""Probe a recording by decoding the first frame of its audio and video tracks; no ffprobe is needed.

The options are those that ffmpeg has had since 4.2.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from avse.errors import InputError, UsageError
from avse.io import wav
from avse.io.ffmpeg import build_command, input_arguments, open_input, run
from avse.io.ffmpeg_binary import shell_command
from avse.io.ffmpeg_errors import blamed_lines, error_line, unreadable_hint
from avse.io.limits import DEFAULT_LIMITS, Limits
from avse.io.messages import Loss
from avse.io.recording import EMPTY, AudioStream, Recording, VideoStream
from avse.io.stream_info import AUDIO, FileInfo, StreamInfo, parse_info

LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000
"""Sample rates in Hz that a recording may have; DXD has 352,800."""
MOST_CHANNELS = 64
OTHER_AUDIO_TRACKS = "other_audio_tracks"
SMALLEST_SIDE = 8
"""Smallest side in displayed pixels: smaller frames show no face, and filters that keep the aspect ratio fail."""
SQUARE_SIZE = "'min(max(trunc(iw*if(between(sar,0.1,10),sar,1)),2),16384)':ih"
"""Size with square pixels, as an argument of `scale`; pixels of a shape that no camera has are taken as square."""
_SQUARE_GREY = {
    "vf": f"scale={SQUARE_SIZE},setsar=1", "vcodec": "rawvideo", "pix_fmt": "gray", "enc_time_base": "1:90000",
}  # fmt: skip
"""The time base; otherwise times would be rounded to whole frames."""


_AHEAD_SECONDS = 100_000
"""Shift of all clocks: ffmpeg drops frames before 0, where a clock that wraps (26.5 h in .ts) begins."""


def probe(path: str | Path, audio_track: int | None = None, limits: Limits = DEFAULT_LIMITS) -> Recording:
    """Open a recording and decode the first frame of each track.

    Args:
        path: the file.
        audio_track: which audio track, counted from 1; None takes the one flagged as default, else the first.
        limits: what the recording may ask for; the result's have a time budget of their own.

    Raises:
        InputError: it is no recording, or beyond the limits. UsageError: it has no such audio track.
    """
    path, limits = Path(path), limits.for_recording()
    if path.is_file():
        limits.check_size(path, path.stat().st_size)
    first_frame, words = _first_frame(path, "V:0", limits, **_SQUARE_GREY)
    info = parse_info(words)
    video = _video_stream(first_frame)
    too_small = (
        f"its frames have {video.width} x {video.height} pixels, which is too small"
        if video and _is_tiny(video)
        else ""
    )
    video = None if too_small else video
    track = choose_audio_track(path, info.of_kind(AUDIO), audio_track)
    first_audio, audio_words = _first_frame(path, f"a:{track - 1}", limits, acodec="pcm_s16le")
    audio = _audio_stream(path, first_audio, info, track, audio_words)
    _check_length(path, info, limits)  # it follows from the rates: they are blamed first
    recording = Recording(
        path, info.duration_seconds, audio, video, track,
        tuple(stream.description for stream in info.of_kind(AUDIO)),
        limits.for_pixels(video.width * video.height) if video else limits,
        audio_problem=_problem(audio_words, limits, info.of_kind(AUDIO)[track - 1 :]) if audio is None else "",
        video_problem=too_small or (_problem(words, limits, info.video_tracks) if video is None else ""),
        info=info,
    )  # fmt: skip
    _note_other_tracks(recording)
    if path.suffix.lower() == ".wav" and wav.is_cut_short(path):
        text = f"{path.name} is truncated: it ends before the duration in its header."
        recording.notice(Loss("cut_short", text))
    return recording


def has_video(path: Path, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Return whether a file has a video track by its header, covers left out; True for what cannot be read."""
    if not os.path.isfile(path):  # behind a folder that may not be entered, too
        return True
    try:
        _, words = run(input_arguments(path, limits), limits, f"ffmpeg cannot read {path}")
    except InputError:
        return True
    return "Input #0" not in words or bool(parse_info(words).video_tracks)


def _check_length(path: Path, info: FileInfo, limits: Limits) -> None:
    """Raise InputError for a claimed length beyond the limit; it names a frame rate that no video has as the cause."""
    try:
        limits.check_seconds(path, info.duration_seconds)
    except InputError:
        rate = info.odd_frame_rate
        if rate is None:
            raise
        message = f"The header of {path} gives the video {rate:g} frames per second."
        hint = f"Extract the audio first: {shell_command('-i FILE -vn AUDIO.wav')}"
        raise InputError(message, hint) from None


def choose_audio_track(path: Path, tracks: list[StreamInfo], wanted: int | None) -> int:
    """Return the number, from 1, of the audio track that is used; UsageError for one that is not there."""
    if wanted is None:
        return next((number for number, track in enumerate(tracks, 1) if track.is_default), 1)
    if tracks and not 1 <= wanted <= len(tracks):
        listed = "; ".join(f"{number}: {track.description}" for number, track in enumerate(tracks, 1))
        raise UsageError(f"{path} has no audio track {wanted}.", f"Its tracks are {listed}")
    return wanted


def _note_other_tracks(recording: Recording) -> None:
    tracks = recording.info.of_kind(AUDIO)
    if recording.audio is None or len(tracks) < 2:
        return
    used = tracks[recording.audio_track - 1]
    name = ", ".join(filter(None, (used.title, used.language)))
    which = f"Audio track {recording.audio_track} of {len(tracks)}{f' ({name})' if name else ''}"
    recording.notice(Loss(OTHER_AUDIO_TRACKS, f"{which} was used; choose another with --audio-track."))


def _first_frame(path: Path, track: str, limits: Limits, **options: object) -> tuple[dict[str, Any] | None, str]:
    """Return facts of a track's first decoded frame (None where there is no such track), and ffmpeg's messages."""
    import ffmpeg

    frame_option = {"frames:a" if track.startswith("a") else "frames:v": 1}
    moved = open_input(path, limits, itsoffset=_AHEAD_SECONDS)
    first = ffmpeg.output(moved[track], "pipe:", format="framecrc", **frame_option, **options)
    facts, words = run(build_command(first), limits, f"ffmpeg cannot read {path}")
    if "Input #0" not in words:
        raise InputError(f"{path} is not a recording that ffmpeg can read: {error_line(words)}", unreadable_hint(words))
    return _framecrc(facts), words


def _framecrc(text: str) -> dict[str, Any] | None:
    facts: dict[str, Any] = dict(re.findall(r"^#(\w+) 0: (.+)$", text, re.MULTILINE))
    packet = re.search(r"^0,\s*-?\d+,\s*(-?\d+),\s*(\d+),\s*(\d+)", text, re.MULTILINE)
    if packet is None:
        return None
    pts, facts["duration"], facts["size"] = map(int, packet.groups())
    numerator, denominator = map(int, facts["tb"].split("/"))
    return facts | {"start": round(pts * numerator / denominator - _AHEAD_SECONDS, 9)}


def _audio_stream(
    path: Path, facts: dict[str, Any] | None, info: FileInfo, track: int, words: str
) -> AudioStream | None:
    """Return the audio track; InputError for a rate or a number of channels that no recording has."""
    if facts is None or "sample_rate" not in facts:
        return None
    rate, num_channels = int(facts["sample_rate"]), facts["size"] // (2 * facts["duration"])
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or num_channels > MOST_CHANNELS:
        raise InputError(
            f"The header of {path} gives {rate} Hz and {num_channels} channel{'s' * (num_channels != 1)}.",
            f"Use a recording of {LOWEST_RATE} to {HIGHEST_RATE} Hz and at most {MOST_CHANNELS} channels.",
        )
    tracks = info.of_kind(AUDIO)
    subtype = sample_subtype(tracks[track - 1].description) if track <= len(tracks) else "PCM_16"
    index = tracks[track - 1].index if track <= len(tracks) else 0
    return AudioStream(rate, num_channels, facts["start"], _layout(facts, words, index), subtype)


def _layout(facts: dict[str, Any], words: str, index: int) -> str:
    """Return the layout of track ``index``; empty where ffmpeg guesses it from three or more channels."""
    guess = rf"(aist#0:{index}/.*Guessed Channel Layout|Guessed .* Input Stream #0\.{index}) ?: (?!mono|stereo)"
    if re.search(guess, words):
        return ""
    name = facts.get("channel_layout_name", "")
    layout = re.fullmatch(r"(?:\d+ channels \()?([\w.+-]+(?:\([\w-]+\))?)\)?", name)
    return layout[1] if layout else ""


def sample_subtype(description: str) -> str:
    """Return how a lossless track stores its samples, from ffmpeg's description; PCM_16 for all that is lossy."""
    if not re.match(r"(pcm_|flac|alac|wavpack|tta|truehd|mlp)", description):
        return "PCM_16"
    if re.search(r", (flt|dbl)p?(,| |$)", description):
        return "FLOAT"
    bits = re.search(r", s32p? \((\d+) bit\)", description)
    if bits or re.search(r", s32p?(,| |$)", description):
        return "PCM_24" if (bits and int(bits[1]) <= 24) or description.startswith("flac") else "PCM_32"
    return "PCM_16"


def _video_stream(facts: dict[str, Any] | None) -> VideoStream | None:
    if facts is None or "dimensions" not in facts:
        return None
    width, height = map(int, facts["dimensions"].split("x"))
    return VideoStream(width, height, facts["start"])


def _is_tiny(video: VideoStream) -> bool:
    return min(video.width, video.height) < SMALLEST_SIDE


def _problem(words: str, limits: Limits, tracks: list[StreamInfo]) -> str:
    """Return why no frame of the first of these tracks could be decoded; empty where there is none."""
    if not tracks:
        return ""
    if "exceeds specified max pixel count" in words or "Picture size" in words:
        return f"its frames have more than {limits.max_pixels} pixels"
    track = tracks[0]
    if track.codec == "none" or "Decoder not found" in words or "no decoder found" in words:
        named = track.description.split(",")[0]
        return f"this ffmpeg has no decoder for it: {named}"
    channels = re.search(r"\b(\d+) channels", track.description)
    if channels and not 1 <= int(channels[1]) <= MOST_CHANNELS:
        return f"its header gives {channels[1]} channels"
    mapping = words.partition("Stream mapping:")[2]
    blamed = blamed_lines(mapping)
    return error_line("\n".join(blamed)) if blamed else EMPTY
