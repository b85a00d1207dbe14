"""Whom one looks at: the faces of a recording, the one that is followed, its mouth in time with the sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from avse import faces, media, speakers
from avse.config import VIDEO_FPS
from avse.crowd import Crowd
from avse.errors import UsageError
from avse.models.net import SpeechNet
from avse.progress import Report
from avse.separation import Followed, Loudness
from avse.sync import in_time
from avse.tracks import Track

LEAST_AGREEMENT = 0.03
"""Over 20 s, one's own lips go better with one's voice than that, and most strangers' do not (docs/recordings.md)."""


@dataclass(frozen=True)
class Choice:
    """The faces that count, the index of the one that is followed, and its mouth; nobody where there is none."""

    crowd: Crowd = field(default_factory=Crowd)
    index: int | None = None
    followed: Followed | None = None

    @property
    def track(self) -> Track | None:
        """Where the face that is followed is."""
        return None if self.index is None else self.crowd.tracks[self.index]

    @property
    def late_seconds(self) -> float:
        """By how much its picture comes later than the sound; earlier if negative."""
        return (self.followed.lag_frames or 0) / VIDEO_FPS if self.followed else 0.0

    @property
    def agreement(self) -> float | None:
        """How well the lips of an only face go with the sound: a correlation; None where that was not measured."""
        return self.followed.agreement if self.followed else None

    @property
    def remarks(self) -> str:
        """What was put right about its picture, and what is to be doubted."""
        late = self.late_seconds
        told = f" The picture is {abs(late):.2f} s {'late' if late > 0 else 'early'}; put right." if late else ""
        if self.agreement is not None and self.agreement < LEAST_AGREEMENT:
            told += " The lips hardly go with the sound: compare with --no-video."
        return told


def choose(
    tape: media.Media, loudness: Loudness, net: SpeechNet, speaker: str | int, report: Report,
    tracks: Sequence[Track] | None = None,
) -> Choice:  # fmt: skip
    """Find the faces, watch their mouths, follow one; a net that only listens follows nobody.

    Args:
        speaker: whose voice is wanted, as `avse.enhance.enhance` takes it.
        tracks: the faces where they are known; None looks for them.

    Raises:
        UsageError: there is no such face, or no such wish.
    """
    if net.lips is None:
        return Choice()
    crowd = meet(tape, loudness, net, report, tracks=tracks)
    index = speakers.choose(crowd.tracks, speakers.parse(speaker), crowd.watched)
    on_frame = _told(report, "watching mouths", loudness.num_frames)
    return Choice(crowd, index, in_time(net, tape, loudness, crowd.followed(index), on_frame))


def check_wish(net: SpeechNet, speaker: str | int) -> None:
    """UsageError for a speaker that nobody can be, or that this net cannot look for."""
    if speakers.parse(speaker) != "active" and net.lips is None:
        raise UsageError("A model that only listens cannot tell faces apart.", "Leave --speaker out.")


def meet(
    tape: media.Media, loudness: Loudness, net: SpeechNet, report: Report, watch_one: bool = False,
    tracks: Sequence[Track] | None = None,
) -> Crowd:  # fmt: skip
    """The faces that count; where there are several, their mouths are watched to see who speaks when."""
    found = look(tape, loudness.num_frames, report) if tracks is None else tracks
    people = speakers.notable(found, loudness.num_frames)
    if net.lips is None or len(people) < (1 if watch_one else 2):
        return Crowd(people)
    on_frame = _told(report, "watching mouths", loudness.num_frames)
    return Crowd(people, speakers.watch(net, tape, people, loudness, on_frame))


def look(tape: media.Media, num_frames: int, report: Report) -> list[Track]:
    """Find the faces in as many video frames as there is sound, largest first."""
    if tape.picture is None:
        return []
    on_frame = _told(report, "looking for faces", num_frames)
    return faces.scan(tape, faces.Detector(torch.get_num_threads()), on_frame, num_frames)


def _told(report: Report, stage: str, num_frames: int) -> Callable[[int], None]:
    return lambda index: report(stage, index / VIDEO_FPS, num_frames / VIDEO_FPS)
