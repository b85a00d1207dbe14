"""A recording: where it is, its audio and video streams, and what is odd about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avse.dsp.resampling import LOW_FREQUENCY_CHANNEL
from avse.errors import InputError
from avse.io.limits import DEFAULT_LIMITS, Limits
from avse.io.messages import Message
from avse.io.stream_info import FileInfo

EMPTY = "it is empty"
"""The problem of a track without any samples or frames."""


@dataclass(frozen=True)
class AudioStream:
    """Describe an audio track.

    Attributes:
        sample_rate: in Hz.
        num_channels: at least 1.
        start_seconds: when it starts on the file's own clock.
        layout: ffmpeg's name for the places of its channels, empty where it has none or the file does not say.
        subtype: how an uncompressed or lossless track stores a sample: PCM_16, PCM_24, PCM_32 or FLOAT.
    """

    sample_rate: int
    num_channels: int
    start_seconds: float
    layout: str = ""
    subtype: str = "PCM_16"

    @property
    def low_frequency(self) -> int | None:
        """Return the index of the channel for low tones alone, which 5.1 and 7.1 have; None for other layouts."""
        return LOW_FREQUENCY_CHANNEL if self.layout[:3] in ("5.1", "7.1") else None


@dataclass(frozen=True)
class VideoStream:
    """Describe the video track in use, as displayed (rotated, square pixels), and its start on the file's clock."""

    width: int
    height: int
    start_seconds: float


@dataclass(frozen=True)
class Recording:
    """Hold a recording, its two tracks, and how long it claims to be in seconds (0 if it does not say).

    Attributes:
        audio_track: which of the audio tracks is used, counted from 1; ``audio_tracks`` is how ffmpeg describes them.
        audio_problem: why there is no ``audio`` although the file has such a track; likewise ``video_problem``.
        info: all that the file holds.
        notices: what the user should know, filled as the recording is probed, read and written.
        kept_audio: the decoded audio in blocks (N, C), of a recording that is short and was read to its end.
    """

    path: Path
    duration_seconds: float
    audio: AudioStream | None
    video: VideoStream | None
    audio_track: int = 1
    audio_tracks: tuple[str, ...] = ()
    limits: Limits = DEFAULT_LIMITS
    audio_problem: str = ""
    video_problem: str = ""
    info: FileInfo = field(default_factory=FileInfo, repr=False, compare=False)
    notices: list[Message] = field(default_factory=list, repr=False, compare=False)
    kept_audio: list[np.ndarray] = field(default_factory=list, repr=False, compare=False)

    @property
    def audio_stream(self) -> AudioStream:
        """Return the audio track of a recording that must have one; InputError where it cannot be used."""
        if self.audio is not None:
            return self.audio
        if self.audio_problem:
            again = self.audio_problem == EMPTY
            advice = "Copy or download it again" if again else "Convert it first with another program"
            choice = ", or choose another track with --audio-track" if len(self.audio_tracks) > 1 else ""
            raise InputError(f"The audio of {self.path} cannot be decoded: {self.audio_problem}.", f"{advice}{choice}.")
        raise InputError(f"{self.path} has no audio track.", "Use a recording with audio.")

    def notice(self, message: Message) -> None:
        """Add a notice, once."""
        if message not in self.notices:
            self.notices.append(message)

    def is_kept(self, code: str) -> None:
        """Note that the output has what notices of that code would report as lost."""
        self.notices[:] = [Message(*notice) if notice.code == code else notice for notice in self.notices]


@dataclass(frozen=True)
class InMemoryRecording(Recording):
    """Hold a recording that is in memory: audio (N, C), and video frames, grey (V, H, W) or RGB (V, H, W, 3) uint8.

    ``order`` names the frame that is shown in each 25th of a second, from where the audio starts.
    """

    waveform: np.ndarray = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    pixels: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 2), np.uint8))
    order: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
