"""Target speaker selection: find the faces of a recording, and choose whose voices are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from avse.active_speaker.av_sync import compensate_av_offset
from avse.active_speaker.detection import SpeakerActivity, detect_activity
from avse.active_speaker.scene import Scene, track_centre
from avse.active_speaker.speaker_choice import SpeakerChoice
from avse.active_speaker.target import TargetSpeaker
from avse.config import VIDEO_FPS
from avse.dsp.levels import AudioStats
from avse.errors import UsageError
from avse.faces import detection, face_tracker, mouth_roi
from avse.faces.mouth_cropper import crop_known
from avse.faces.mouth_crops import MouthCrops
from avse.faces.tracking import Track
from avse.io import reader
from avse.io.messages import Message
from avse.models.net import SpeechNet
from avse.progress import Report, Stage, span

MIN_CORRELATION = 0.03
"""Over 20 s the correlation of a speaker's own lips is above this, and that of most others is below
(docs/experiments/recordings.md)."""
MIN_OTHER_SECONDS = 1.0
SEVERAL = ("everyone", "all")
MAX_FACES = 12
MIN_SCORE = 0.03


@dataclass(frozen=True)
class Selection:
    """Hold the faces of a recording, the indices of those whose voices are kept, and these as target speakers."""

    scene: Scene = field(default_factory=Scene)
    indices: tuple[int, ...] = ()
    targets: tuple[TargetSpeaker, ...] = ()

    @property
    def index(self) -> int | None:
        """Return the index of the only face whose voice is kept; None if there is none, or if there are several."""
        return self.indices[0] if len(self.indices) == 1 else None

    @property
    def track(self) -> Track | None:
        """Return the track of that face."""
        return None if self.index is None else self.scene.tracks[self.index]

    @property
    def av_offset_seconds(self) -> float:
        """Return the seconds by which the video is later than the audio; negative if earlier."""
        return (self.targets[0].av_offset_frames or 0) / VIDEO_FPS if self.targets else 0.0

    @property
    def av_correlation(self) -> float | None:
        """Return the correlation of the lips of a single face with the audio; None if it was not measured."""
        return self.targets[0].av_correlation if self.targets else None

    @property
    def removed(self) -> list[int]:
        """Return the faces that speak for a second or more, and whose voices are not kept."""
        spoken = {k: sum(b - a for a, b in self.scene.speech_intervals(k)) for k in range(len(self.scene.tracks))}
        return [k for k, seconds in spoken.items() if seconds >= MIN_OTHER_SECONDS and k not in self.indices]

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """Return (code, text) for a compensated AV offset, and for lips that do not match the audio."""
        late, found = self.av_offset_seconds, []
        if late:
            text = f"The video is {abs(late):.2f} s {'late' if late > 0 else 'early'}; compensated."
            found.append(("av_offset", text))
        if self.av_correlation is not None and self.av_correlation < MIN_CORRELATION:
            text = "The lips hardly match the audio. Compare the result with --no-video."
            found.append(("low_av_correlation", text))
        return found


def select_targets(
    recording: reader.Recording, stats: AudioStats, net: SpeechNet, speaker: SpeakerChoice, report: Report,
    tracks: Sequence[Track] | None = None, measure_all: bool = False,
) -> Selection:  # fmt: skip
    """Find the faces, measure their activity, and select the target speakers; none for an audio-only network.

    Args:
        speaker: target speaker, as `avse.active_speaker.speaker_choice.parse_speaker` returns it.
        tracks: the face tracks where they are known; None detects them.
        measure_all: measure the activity of a single face, too.

    Raises:
        UsageError: there is no such face.
    """
    if net.lips is None:
        return Selection()
    scene = analyse_faces(recording, stats, net, report, measure_all, tracks)
    return choose_targets(scene, recording, stats, net, speaker, report)


def choose_targets(
    scene: Scene, recording: reader.Recording, stats: AudioStats, net: SpeechNet, speaker: SpeakerChoice, report: Report
) -> Selection:
    """Select the target speakers among faces that are known, as `select_targets` does. The video is not decoded again.

    Raises:
        UsageError: there is no such face.
    """
    indices = _select_indices(scene, speaker)
    if scene.crops is None:
        return Selection(scene, indices)
    on_frame = _frame_progress(report, "analysing mouths", stats.num_frames)
    targets = (
        compensate_av_offset(net, recording, stats, scene.target(index), scene.crops, on_frame) for index in indices
    )
    return Selection(scene, indices, tuple(target for target in targets if target))


def _select_indices(scene: Scene, choice: SpeakerChoice) -> tuple[int, ...]:
    if choice in SEVERAL:
        return tuple(scene.speaking_faces)
    numbers = [int(number) for number in str(choice).split(",")] if "," in str(choice) else [choice]
    return tuple(index for number in numbers for index in _one(select_face(scene, number)))


def check_speaker(net: SpeechNet, speaker: SpeakerChoice) -> None:
    """Raise UsageError for a speaker that an audio-only network cannot find."""
    if speaker != "active" and net.lips is None:
        raise UsageError("An audio-only model cannot select a speaker.", "Omit --speaker.")


def analyse_faces(
    recording: reader.Recording, stats: AudioStats, net: SpeechNet, report: Report, measure_all: bool = False,
    tracks: Sequence[Track] | None = None,
) -> Scene:  # fmt: skip
    """Find the relevant faces, and measure their activity if there are several, or one and ``measure_all``."""
    side, num_frames = net.config.lip_side, stats.num_frames
    if tracks is None:
        found, crops = find_faces(recording, num_frames, side, report)
        people = _largest(recording, relevant_tracks(found, num_frames))
        crops.keep(people)
    else:
        people = _largest(recording, relevant_tracks(tracks, num_frames))
        on_crop = _frame_progress(report, "cropping mouths", num_frames)
        crops = crop_known(recording, people, num_frames, side, on_crop) if people else MouthCrops(side)
    if net.lips is None or len(people) < (1 if measure_all else 2):
        return Scene(people, crops=crops)
    on_frame = _frame_progress(report, "analysing mouths", stats.num_frames)
    offset = None
    if len(people) == 1:  # by the same method as where the activity is not measured
        only = compensate_av_offset(net, recording, stats, TargetSpeaker(people[0]), crops, on_frame)
        offset = only.av_offset_frames if only else None
    return Scene(people, detect_activity(net, recording, people, stats, crops, on_frame, offset), crops)


def find_faces(
    recording: reader.Recording, num_frames: int, side: int, report: Report
) -> tuple[list[Track], MouthCrops]:
    """Detect and track faces in the first ``num_frames`` video frames, and crop their mouths at ``side`` pixels.

    The video is decoded once. The tracks are sorted, largest first.
    """
    crops = MouthCrops(side)
    if recording.video is None:
        return [], crops
    on_frame = _frame_progress(report, "detecting faces", num_frames)
    with span(Stage.LOAD_DETECTOR):
        detector = detection.Detector(torch.get_num_threads())
    with span(Stage.TRACK):
        return face_tracker.track_faces(recording, detector, on_frame, num_frames, crops), crops


def relevant_tracks(tracks: Sequence[Track], num_frames: int) -> list[Track]:
    """Return the faces visible for a second, or for a fifth of a short recording; this is how they are numbered.

    If there is none, return the first face that is visible at all.
    """
    counts = [(track, mouth_roi.mouth_pose(track, num_frames).visible.sum()) for track in tracks]
    found = [track for track, count in counts if count >= min(25, num_frames // 5)]
    return found or [track for track, count in counts if count][:1]


def _largest(recording: reader.Recording, people: list[Track]) -> list[Track]:
    """Return the largest of the faces, and note that there are others."""
    if len(people) > MAX_FACES:
        text = f"The video shows {len(people)} faces; only the {MAX_FACES} largest are considered."
        recording.notice(Message("too_many_faces", text))
    return people[:MAX_FACES]


def select_face(scene: Scene, choice: SpeakerChoice) -> int | None:
    """Return the index of the chosen face; None where there is no face. UsageError for a number that no face has."""
    tracks = scene.tracks
    if isinstance(choice, int):
        if choice > len(tracks):
            count = f"only {len(tracks)} faces" if len(tracks) > 1 else "one face" if tracks else "no face"
            raise UsageError(
                f"There is no face {choice}; the video shows {count}.", "List the faces: avse faces RECORDING"
            )
        return choice - 1
    if not tracks:
        return None
    if choice == "active" and scene.activity is not None:
        return most_active(scene.activity)
    if choice in ("left", "right"):
        places = [track_centre(track)[0] for track in tracks]
        return int(np.argmin(places) if choice == "left" else np.argmax(places))
    return 0


def _one(index: int | None) -> tuple[int, ...]:
    return () if index is None else (index,)


def most_active(activity: SpeakerActivity) -> int:
    """Return the index of the face whose lips match the audio best; without evidence, of the first that moves."""
    score = activity.score
    if score.max() >= MIN_SCORE:
        return int(np.argmax(score))
    candidates = np.flatnonzero(activity.motion_share >= 0.5 * activity.motion_share.max())
    return int(candidates[0])


def _frame_progress(report: Report, stage: str, num_frames: int) -> Callable[[int], None]:
    return lambda index: report(stage, index / VIDEO_FPS, num_frames / VIDEO_FPS)
