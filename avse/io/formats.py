"""The table of file types: which suffixes are recordings, and what each output type can hold."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType

_AAC_RATES = frozenset({
    7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000
})  # fmt: skip
_MP3_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
_VORBIS_RATES = range(200_001)
_MOST_FLAC_HZ = 655_350
_FLAC_RATES = range(1 << 16), range(0, _MOST_FLAC_HZ + 1, 10)
"""As libsndfile writes them: those that fit into the header of each frame."""


@dataclass(frozen=True)
class FileType:
    """Hold the properties of a file type.

    Attributes:
        suffix: in lower case, with its dot.
        is_video: whether it holds video.
        encoder: ffmpeg's audio encoder for an output of that type; empty where avse only reads the type.
        muxer: ffmpeg's name of the container.
        max_channels: how many channels an output can have.
        sample_rates: sets of those that an output can have in Hz.
        kbps: default bit rate of a lossy output: for the file, and on top for each channel; None for lossless.
        quality: of a lossy output whose bit rate varies, on the encoder's own scale; None for others.
        libsndfile: whether such a file can be read without ffmpeg.
    """

    suffix: str
    is_video: bool
    encoder: str = ""
    muxer: str = ""
    max_channels: int = 8
    sample_rates: tuple[Container[int], ...] = (range(1 << 31),)
    kbps: tuple[int, int] | None = None
    quality: int | None = None
    libsndfile: bool = False

    @property
    def is_lossy(self) -> bool:
        """Return whether outputs of that type are lossy, and so have a bit rate."""
        return self.kbps is not None or self.quality is not None

    def has_rate(self, sample_rate: int) -> bool:
        """Return whether an output can have that sample rate in Hz."""
        return any(sample_rate in rates for rates in self.sample_rates)

    def default_kbps(self, num_channels: int) -> int | None:
        """Return the bit rate in kbit/s at which speech of so many channels stays clear; None for types without one."""
        return self.kbps and self.kbps[0] + self.kbps[1] * num_channels


_OUTPUTS = (
    FileType(".wav", False, "pcm_s16le", "wav", max_channels=64, libsndfile=True),
    FileType(".flac", False, "flac", "flac", sample_rates=_FLAC_RATES, libsndfile=True),
    FileType(".mp3", False, "libmp3lame", "mp3", 2, (_MP3_RATES,), (32, 64)),
    FileType(".m4a", False, "aac", "ipod", 8, (_AAC_RATES,), (32, 64)),
    FileType(".ogg", False, "libvorbis", "ogg", 8, (_VORBIS_RATES,), quality=5, libsndfile=True),
    FileType(".opus", False, "libopus", "opus", 8, kbps=(16, 32)),
    FileType(".mp4", True, "aac", "mp4", 8, (_AAC_RATES,), (0, 96)),
    FileType(".mov", True, "aac", "mov", 8, (_AAC_RATES,), (0, 96)),
    FileType(".mkv", True, "flac", "matroska", sample_rates=(range(_MOST_FLAC_HZ + 1),)),
)
_OTHER_AUDIO = (
    ".aac", ".ac3", ".aif", ".aiff", ".amr", ".ape", ".au", ".caf", ".eac3", ".m4b", ".mka", ".mp2", ".mpc", ".oga",
    ".ra", ".w64", ".wma", ".wv",
)  # fmt: skip
_OTHER_VIDEO = (
    ".3g2", ".3gp", ".asf", ".avi", ".f4v", ".flv", ".m2ts", ".m4v", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".rm",
    ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".wtv",
)  # fmt: skip

FILE_TYPES: Mapping[str, FileType] = MappingProxyType(
    {suffix: FileType(suffix, False) for suffix in _OTHER_AUDIO}
    | {suffix: FileType(suffix, True) for suffix in _OTHER_VIDEO}
    | {kind.suffix: kind for kind in _OUTPUTS}
)
"""All known suffixes."""

AUDIO_FILES = frozenset(suffix for suffix, kind in FILE_TYPES.items() if not kind.is_video)
VIDEO_FILES = frozenset(suffix for suffix, kind in FILE_TYPES.items() if kind.is_video)
AUDIO_OUTPUTS = frozenset(kind.suffix for kind in _OUTPUTS if not kind.is_video)
VIDEO_OUTPUTS = frozenset(kind.suffix for kind in _OUTPUTS if kind.is_video)
OUTPUTS = tuple(kind.suffix for kind in _OUTPUTS)


def file_type(path: PurePath | str) -> FileType | None:
    """Return the type of a file by its suffix, in upper or lower case; None if it is not in the table."""
    return FILE_TYPES.get(PurePath(path).suffix.lower())


def is_audio(path: PurePath | str) -> bool:
    """Return whether a file is audio by its suffix."""
    return PurePath(path).suffix.lower() in AUDIO_FILES


def is_video(path: PurePath | str) -> bool:
    """Return whether a file is a video by its suffix."""
    return PurePath(path).suffix.lower() in VIDEO_FILES


def is_recording(path: PurePath | str) -> bool:
    """Return whether a file is audio or video by its suffix."""
    return file_type(path) is not None


def read_by_libsndfile(path: PurePath | str) -> bool:
    """Return whether a file can be read without ffmpeg, by its suffix."""
    kind = file_type(path)
    return kind is not None and kind.libsndfile


def describe_audio(sample_rate: int, num_channels: int) -> str:
    """Return rate and channels in words, such as "48 kHz stereo"."""
    names = {1: "mono", 2: "stereo"}
    return f"{sample_rate / 1000:g} kHz {names.get(num_channels, f'with {num_channels} channels')}"
