"""The result of enhancing one recording, and the warnings that go with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from avse.active_speaker.selection import Selection
from avse.dsp.levels import AudioStats, gain_to_db
from avse.enhancement.loudness import Levels
from avse.features import SILENT_RMS
from avse.io import reader
from avse.io.messages import Loss, Message

CLIPPING_PEAK = 1.12
"""Peak from which clipping is reported: 1 dB above full scale, which lossy coding alone does not reach."""
MAX_START_SECONDS = 0.1
"""Difference in start between audio and video up to which an audio file can be placed where the video starts."""
NO_WARNINGS = frozenset({"face_visible", "faces_visible", "video_ignored", "loudness"})


KEEP_EVERYONE = "To keep everyone, use --speaker everyone."


@dataclass(frozen=True)
class Result:
    """Hold the result for one recording: its outputs, the processing time, and facts about the faces."""

    input: Path
    output: Path | None
    model: str
    duration_seconds: float
    sample_rate: int
    num_channels: int
    num_faces: int
    seen_share: float
    """Share of the time in which the target speaker's face is visible."""
    elapsed_seconds: float
    note: str
    """Summary for the user, in sentences."""
    speaker: int = 0
    """Number of the target speaker's face, as `avse faces` counts them from 1; 0 if there is none, or several."""
    speakers: list[int] = field(default_factory=list)
    """Numbers of all faces whose voices were kept."""
    removed: list[int] = field(default_factory=list)
    """Numbers of the faces that also speak, and whose voices were removed."""
    faces: list[dict[str, Any]] = field(default_factory=list)
    """Facts about each face, as in ``avse faces --json``; ``speech_seconds`` and the like if there are several."""
    scores: dict[str, Any] = field(default_factory=dict)
    levels: Levels | None = None
    waveform: np.ndarray | None = field(default=None, repr=False, compare=False)
    """The enhanced audio, float32 (N, C), if no output was given."""
    seen_seconds: list[tuple[float, float]] = field(default_factory=list)
    """When the target speaker's face is visible: start and end times in seconds."""
    av_offset_seconds: float = 0.0
    """AV offset in seconds that was compensated: positive if the video is late, negative if it is early."""
    av_correlation: float | None = None
    """Correlation of the lips of a single face, visible for 20 s or more, with the audio; 0 by chance."""
    background: np.ndarray | None = field(default=None, repr=False, compare=False)
    """The removed audio, float32 (N, C), if it was requested without a file."""
    warnings: list[Message] = field(default_factory=list)
    """Warnings as (code, text); the texts are part of the note."""
    thumbnails: dict[int, bytes] = field(default_factory=dict, repr=False, compare=False)
    """PNG thumbnails by face number, of the people whose voices were kept or removed, if requested."""

    @property
    def thumbnail(self) -> bytes | None:
        """Return the target speaker's face as PNG, where it was asked for; None if there are several."""
        return self.thumbnails.get(self.speaker)

    @property
    def picture_late_seconds(self) -> float:
        """Return ``av_offset_seconds`` under its earlier name, which will be removed."""
        return self.av_offset_seconds

    @property
    def mouth_with_sound(self) -> float | None:
        """Return ``av_correlation`` under its earlier name, which will be removed."""
        return self.av_correlation

    def replace(self, **values: Any) -> Result:
        """Return a copy with other values."""
        return replace(self, **values)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values without waveforms and thumbnails, with the processing time per second of recording.

        ``picture_late_seconds`` and ``mouth_with_sound`` are earlier names that will be removed.
        """
        values = asdict(replace(self, waveform=None, background=None, thumbnails={}))
        for name in ("waveform", "background", "thumbnails"):
            del values[name]
        return values | {
            "warnings": [warning.as_dict() for warning in self.warnings],
            "real_time_factor": self.elapsed_seconds / max(self.duration_seconds, 1e-9),
            "picture_late_seconds": self.av_offset_seconds,
            "mouth_with_sound": self.av_correlation,
        }


def build_result(
    recording: reader.Recording,
    stats: AudioStats,
    selection: Selection,
    use_video: bool,
    model: str,
    levels: Levels | None = None,
    is_clipped: bool = False,
) -> Result:
    """Return what is known about the recording and its faces; the caller sets paths, audio and time.

    Args:
        levels: the loudness before and after, if it was normalised.
        is_clipped: whether the output cannot hold samples beyond full scale.
    """
    scene, index = selection.scene, selection.index
    visible = [scene.visible_share(k, stats.num_frames) for k in selection.indices]
    share = max(visible, default=0.0)
    messages = [
        *visibility_messages(recording, stats, use_video, share, selection),
        *audio_warnings(recording, stats, is_clipped),
        *([Message(*levels.message)] if levels else []),
        *removed_speakers(selection),
        *recording.notices,
    ]
    return Result(
        input=recording.path,
        output=None,
        model=model,
        duration_seconds=stats.num_samples / recording.audio_stream.sample_rate,
        sample_rate=recording.audio_stream.sample_rate,
        num_channels=recording.audio_stream.num_channels,
        num_faces=len(scene.tracks),
        seen_share=share,
        elapsed_seconds=0.0,
        note=" ".join(message.text for message in messages),
        speaker=0 if index is None else index + 1,
        speakers=[k + 1 for k in selection.indices],
        removed=[k + 1 for k in selection.removed],
        faces=[scene.facts(k, stats.num_frames) for k in range(len(scene.tracks))],
        levels=levels,
        seen_seconds=[] if index is None else scene.visible_intervals(index, stats.num_frames),
        av_offset_seconds=selection.av_offset_seconds,
        av_correlation=selection.av_correlation,
        warnings=[message for message in messages if message.code not in NO_WARNINGS],
    )


def audio_warnings(recording: reader.Recording, stats: AudioStats, is_clipped: bool) -> list[Message]:
    """Return warnings about the audio: it ends long before the file claims, or is clipped when written."""
    claimed = recording.duration_seconds
    found: list[Message] = []
    end = max(recording.audio_stream.start_seconds, 0.0) + stats.num_samples / recording.audio_stream.sample_rate
    share = 0.1 if recording.info.video_tracks else 0.02  # video may last longer than audio
    if not recording.info.duration_is_estimated and claimed - end > max(1.0, share * claimed):
        found.append(
            Loss(
                "truncated",
                f"The header gives {claimed:.1f} s, but the audio ends at {end:.1f} s; the file may be incomplete.",
            )
        )
    if is_clipped and stats.peak > CLIPPING_PEAK:
        beyond = gain_to_db(stats.peak)
        found.append(Loss("clipped", f"The audio exceeds full scale by {beyond:.0f} dB and is clipped there."))
    return found


def notice_audio_start(recording: reader.Recording) -> None:
    """Add a notice where the audio, without the video, does not belong at the start of the clip."""
    if recording.audio is None or recording.video is None:
        return
    later = round(recording.audio.start_seconds - recording.video.start_seconds, 3)
    if later > MAX_START_SECONDS:
        text = f"The audio starts {later:.2f} s after the video; place it there."
        recording.notice(Message("audio_starts_late", text))
    elif later < -MAX_START_SECONDS:
        text = f"The audio starts {-later:.2f} s before the video; cut that much off, or place the video later."
        recording.notice(Message("audio_starts_early", text))


def visibility_messages(
    recording: reader.Recording, stats: AudioStats, use_video: bool, share: float, selection: Selection
) -> list[Message]:
    """Return messages about audio and video; ``share`` is the share of time with a visible target speaker."""
    if stats.rms < SILENT_RMS:
        return [Message("silent", "The recording is silent.")]
    if recording.video_problem:
        reason = f"The video cannot be decoded ({recording.video_problem}); only the audio was used."
        return [Message("video_not_decoded", reason)]
    if recording.video is None:
        return [Message("no_video", "There is no video; only the audio was used.")]
    if not use_video:
        return [Message("video_ignored", "The video was ignored; only the audio was used.")]
    if share == 0:
        rate = recording.info.odd_frame_rate
        why = "" if rate is None else f" (its header gives {rate:g} frames per second)"
        return [Message("no_face", f"The video shows no moving face{why}; only the audio was used.")]
    warnings = [Message(*warning) for warning in selection.warnings]
    if selection.index is None:
        places = ", ".join(f"face {k + 1} ({selection.scene.place(k)})" for k in selection.indices)
        return [
            Message("faces_visible", f"The voices of {len(selection.indices)} faces were kept: {places}."),
            *warnings,
        ]
    is_whole = share > 0.995
    kept = " kept," if len(selection.scene.tracks) > 1 else ""
    visible = f"{selection.scene.describe(selection.index)}{kept} seen {share:.0%} of the time"
    code, rest = ("face_visible", ".") if is_whole else ("face_partly_visible", "; only the audio was used elsewhere.")
    return [Message(code, visible + rest), *warnings]


def removed_speakers(selection: Selection) -> list[Message]:
    """Return a warning for each face that also speaks, and whose voice was removed."""
    scene = selection.scene
    return [
        Message(
            "speaker_removed",
            f"Face {k + 1} ({scene.place(k)}) also speaks {format_intervals(scene.speech_intervals(k))}; removed. "
            f"{KEEP_EVERYONE}",
        )
        for k in selection.removed
    ]


def format_intervals(intervals: Sequence[tuple[float, float]], most: int = 4) -> str:
    """Return intervals in seconds as text, such as 0:02-0:05 and 0:11-0:15."""
    texts = [f"{_clock(begin)}-{_clock(end)}" for begin, end in intervals[:most]]
    if len(intervals) > most:
        texts.append(f"{len(intervals) - most} times more")
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
