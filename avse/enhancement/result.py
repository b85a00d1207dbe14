"""The result of enhancing one recording, and the warnings that go with it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from avse.active_speaker.selection import Selection
from avse.dsp.levels import AudioStats
from avse.enhancement.loudness import Levels
from avse.features import SILENT_RMS
from avse.io import reader

CLIPPING_PEAK = 1.12
"""Peak from which it is said that there is more than a file holds: 1 dB above full scale, as no coding alone brings."""


@dataclass(frozen=True)
class Result:
    """What was done: where the output is, how long it took, and how much of the face was seen."""

    input: Path
    output: Path | None
    model: str
    duration_seconds: float
    sample_rate: int
    num_channels: int
    num_faces: int
    seen_share: float
    elapsed_seconds: float
    note: str
    speaker: int = 0
    """Number of the face that was followed, counted from 1, as `avse faces` shows them; 0 if none was."""
    scores: dict[str, Any] = field(default_factory=dict)
    levels: Levels | None = None
    waveform: np.ndarray | None = field(default=None, repr=False, compare=False)
    """The enhanced sound, float32 (N, C), where no output was asked for."""
    seen_seconds: list[tuple[float, float]] = field(default_factory=list)
    """When the face that was followed was seen: begins and ends."""
    picture_late_seconds: float = 0.0
    """By how much the picture came later than the sound, which was put right; earlier if negative."""
    mouth_with_sound: float | None = None
    """How well the lips of an only face, seen for 20 s or more, go with the sound: a correlation, 0 by chance."""
    thumbnail: bytes | None = field(default=None, repr=False, compare=False)
    """That face as PNG, where it was asked for."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, with the time taken for a second of recording."""
        values = asdict(replace(self, waveform=None, thumbnail=None))
        del values["waveform"], values["thumbnail"]
        return values | {"real_time_factor": self.elapsed_seconds / max(self.duration_seconds, 1e-9)}


def build_result(recording: reader.Recording, stats: AudioStats, choice: Selection, use_video: bool) -> Result:
    """What there was to hear and to see, and who was followed; not yet what became of it."""
    assert recording.audio is not None
    scene, index = choice.scene, choice.index
    share = scene.seen_share(index, stats.num_frames)
    return Result(
        recording.path, None, "", stats.num_samples / recording.audio.sample_rate, recording.audio.sample_rate,
        recording.audio.num_channels, len(scene.tracks), share, 0.0,
        describe_visibility(recording, stats, use_video, share, scene.describe(index), choice.remarks),
        speaker=0 if index is None else index + 1, seen_seconds=scene.seen_seconds(index, stats.num_frames),
        picture_late_seconds=choice.av_offset_seconds, mouth_with_sound=choice.agreement,
    )  # fmt: skip


def audio_warnings(recording: reader.Recording, stats: AudioStats, clips: bool) -> list[str]:
    """What is odd about the sound, a sentence each: it ends long before the file says, or is clipped when written."""
    assert recording.audio is not None
    said, found = recording.duration_seconds, []
    end = max(recording.audio.start_seconds, 0.0) + stats.num_samples / recording.audio.sample_rate
    if recording.video and said - end > max(1.0, 0.1 * said):  # of sounds alone the length is often guessed
        found.append(f"The file says {said:.1f} s, its sound ends at {end:.1f} s: is it whole?")
    if clips and stats.peak > CLIPPING_PEAK:
        beyond = 20 * math.log10(stats.peak)
        found.append(f"The sound goes {beyond:.0f} dB beyond full scale, and is clipped there.")
    return found


def describe_visibility(
    recording: reader.Recording, stats: AudioStats, use_video: bool, share: float, who: str = "Face", remarks: str = ""
) -> str:
    """A sentence or two on what there was to hear and to see; ``share`` of the time that a face was seen."""
    if stats.rms < SILENT_RMS:
        return "The recording is silent."
    if recording.video is None:
        return "There is no picture; the sound alone was used."
    if not use_video:
        return "The picture was not looked at; the sound alone was used."
    if share == 0:
        return "There is no face in the picture, or none that moves; the sound alone was used."
    seen = f"{who} seen {share:.0%} of the time" + ("." if share > 0.995 else "; the sound alone elsewhere.")
    return seen + remarks
