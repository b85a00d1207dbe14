"""How audio is encoded in an output: codec, bit depth, bit rate, and the tags of audio files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avse.errors import InputError, UsageError, short_repr
from avse.io import metadata
from avse.io.ffmpeg import QUIET, input_arguments, run, stream_output
from avse.io.formats import FILE_TYPES, FileType, describe_audio
from avse.io.layouts import layout_arguments
from avse.io.messages import Loss
from avse.io.recording import AudioStream, Recording
from avse.io.stream_info import AUDIO, parse_info

_COVERS = frozenset({".flac", ".mp3", ".m4a"})
_CHAPTERS = frozenset({".mp3", ".m4a", ".ogg", ".opus"})
SETTINGS_HINT = "Omit --bitrate to use a rate suited to speech."
WAV_HINT = "Write a .wav file."


@dataclass(frozen=True)
class OutputSettings:
    """Hold how an output is written.

    Attributes:
        bitrate_kbps: bit rate of a lossy output in kbit/s; None uses one that suits speech.
        keep_tracks: also copy the other audio tracks into a video.
        is_lenient: whether settings that a file type cannot have are ignored, as for many outputs of several types.

    Raises:
        UsageError: a bit rate that no encoder has.
    """

    bitrate_kbps: float | None = None
    keep_tracks: bool = False
    is_lenient: bool = False

    def __post_init__(self) -> None:
        kbps = self.bitrate_kbps
        is_number = isinstance(kbps, int | float | np.integer | np.floating) and not isinstance(kbps, bool)
        if kbps is not None and not (is_number and 6 <= kbps <= 1024):
            raise UsageError(f"--bitrate {short_repr(kbps)} is out of range.", "Use 6 to 1024 kbit/s, such as 96.")

    def check(self, suffix: str) -> None:
        """Raise UsageError for settings that an output of that suffix cannot have."""
        kind = FILE_TYPES[suffix.lower()]
        if self.is_lenient:
            return
        if self.bitrate_kbps is not None and not kind.is_lossy:
            raise UsageError(
                f"--bitrate does not apply to {kind.suffix}, which is lossless.",
                "Use it with .mp3, .m4a, .ogg or .opus.",
            )
        if self.keep_tracks and not kind.is_video:
            raise UsageError(
                f"A {kind.suffix} file can hold only one audio track.", "Use --keep-tracks with .mp4, .mov or .mkv."
            )


DEFAULT_SETTINGS = OutputSettings()


def check_audio_fits(audio: AudioStream, suffix: str) -> None:
    """Raise InputError if files of that type cannot hold such audio unchanged."""
    kind = FILE_TYPES[suffix.lower()]
    hint = "Write a .mkv file." if kind.is_video and FILE_TYPES[".mkv"].has_rate(audio.sample_rate) else WAV_HINT
    if audio.num_channels > kind.max_channels:
        raise InputError(f"A {kind.suffix} file cannot hold {audio.num_channels} channels.", WAV_HINT)
    if not kind.has_rate(audio.sample_rate):
        raise InputError(f"A {kind.suffix} file cannot hold audio of {audio.sample_rate} Hz.", hint)


def stored_subtype(audio: AudioStream, suffix: str) -> str:
    """Return how samples are stored on the way into a file: as in the input, at most 24 bits unless it is .wav."""
    return audio.subtype if suffix.lower() == ".wav" or audio.subtype == "PCM_16" else "PCM_24"


def output_subtype(audio: AudioStream, target: object) -> str:
    """Return how samples are stored in an output: a file by its suffix, a stream in 16 bits, memory in floats."""
    if isinstance(target, Path):
        return stored_subtype(audio, target.suffix)
    return "FLOAT" if target is None else "PCM_16"


def clips(audio: AudioStream, target: object) -> bool:
    """Return whether samples beyond full scale are clipped in an output; all but float .wav files clip."""
    return output_subtype(audio, target) != "FLOAT"


def encoder_arguments(media: Recording, suffix: str, settings: OutputSettings, number: int = 0) -> list[str]:
    """Return ffmpeg's arguments that encode output track ``number``."""
    assert media.audio is not None
    kind, num_channels = FILE_TYPES[suffix.lower()], media.audio.num_channels
    arguments = [f"-c:{number}", kind.encoder]
    if kind.encoder == "flac" and stored_subtype(media.audio, suffix) == "PCM_24":
        arguments += [f"-sample_fmt:{number}", "s32", f"-bits_per_raw_sample:{number}", "24"]
    if kind.is_lossy:
        arguments += _rate_arguments(kind, num_channels, settings.bitrate_kbps, number)
    return arguments + layout_arguments(kind.encoder, media.audio, number)


def _rate_arguments(kind: FileType, num_channels: int, kbps: float | None, number: int) -> list[str]:
    """Return ffmpeg's arguments for a bit rate, or for a quality: Vorbis refuses most bit rates at low sample rates."""
    if kbps is None and kind.quality is not None:
        return [f"-q:{number}", str(kind.quality)]
    if kbps is None:
        kbps = kind.default_kbps(max(num_channels, 2) if kind.is_video else num_channels)
    return [f"-b:{number}", f"{kbps:g}k"]


def check_encoder(media: Recording, suffix: str, settings: OutputSettings) -> None:
    """Raise InputError where the encoder of that file type refuses such audio or the bit rate; a moment is tried."""
    audio, kind = media.audio_stream, FILE_TYPES[suffix.lower()]
    if not kind.is_lossy:
        return
    form = ("-f", "s16le", "-ar", str(audio.sample_rate), "-ac", str(audio.num_channels))
    silence = input_arguments(Path("/dev/zero"), media.limits, "-format_whitelist", "s16le", *form, "-t", "0.1")
    arguments = [*silence, *encoder_arguments(media, suffix, settings), *QUIET, "-f", "null", "-"]
    named = describe_audio(audio.sample_rate, audio.num_channels)
    rate = f" at {settings.bitrate_kbps:g} kbit/s" if settings.bitrate_kbps is not None else ""
    failure = f"{named} cannot be encoded into a {kind.suffix} file{rate}"
    with stream_output(arguments, media.limits, failure, _encoder_hint(settings)) as pipe:
        for _ in pipe:
            pass


def _encoder_hint(settings: OutputSettings) -> str:
    return WAV_HINT if settings.bitrate_kbps is None else SETTINGS_HINT


def file_tags(media: Recording) -> dict[str, str]:
    """Return the tags of a recording and of the audio track that is used, without those that describe its file."""
    tracks = media.info.of_kind(AUDIO)
    used = tracks[media.audio_track - 1] if media.audio_track <= len(tracks) else None
    tags = metadata.content_tags(used.tags) if used else {}
    if used and used.language:
        tags["language"] = used.language
    return tags | metadata.content_tags(media.info.tags)


def carries_extras(media: Recording) -> bool:
    """Return whether a recording carries tags, chapters or a cover."""
    return bool(file_tags(media) or media.info.num_chapters or any(stream.is_cover for stream in media.info.streams))


def encode_audio(media: Recording, audio: Path, output: Path, settings: OutputSettings) -> None:
    """Encode ``audio`` into an audio file, with the tags, cover and chapters of the recording that the format can hold.

    Raises:
        InputError: the encoder refuses it. MissingError: the disk is full.
    """
    suffix = output.suffix.lower()
    covers = [stream for stream in media.info.streams if stream.is_cover] if suffix in _COVERS else []
    arguments = [
        *input_arguments(media.path, media.limits), "-i", f"file:{audio}", "-map", "1:a:0",
        *(word for cover in covers for word in ("-map", f"0:{cover.index}")),
        *encoder_arguments(media, suffix, settings), "-map_metadata", "-1",
        "-map_chapters", "0" if suffix in _CHAPTERS else "-1",
        *(word for pair in file_tags(media).items() for word in ("-metadata", "=".join(pair))),
        *(word for i, _ in enumerate(covers, 1) for word in (f"-c:{i}", "copy", f"-disposition:{i}", "attached_pic")),
        "-f", FILE_TYPES[suffix].muxer, "-progress", "pipe:1", "-y", *QUIET, f"file:{output}",
    ]  # fmt: skip
    media.limits.grant(media.duration_seconds)
    failure = f"The audio cannot be encoded into a {suffix} file"
    with stream_output(arguments, media.limits, failure, _encoder_hint(settings)) as pipe:
        for _ in pipe:
            pass
    notice_lost_tags(media, output)


def notice_lost_tags(media: Recording, output: Path) -> None:
    """Add a notice of the tags, chapters and cover of a recording that an audio file lacks."""
    _, words = run(input_arguments(output, media.limits), media.limits, f"ffmpeg cannot read {output}")
    after = parse_info(words)
    lost = metadata.missing_tags(file_tags(media), after, media.info.num_chapters)
    if any(stream.is_cover for stream in media.info.streams) and not any(stream.is_cover for stream in after.streams):
        lost.append("cover")
    notice_lost(media, output, lost)


def notice_lost(media: Recording, output: Path, lost: list[str]) -> None:
    """Add the notice that an output lacks what the recording carries."""
    if lost:
        text = f"Left out, because a {output.suffix.lower()} file cannot hold them: {'; '.join(lost)}."
        media.notice(Loss("not_carried", text))
