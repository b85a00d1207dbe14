"""Active speaker detection.

The lip stream predicts band energies from the mouth crops alone; their correlation with the energies of the recorded
audio scores each face. A face whose mouth does not move is silent. Thresholds: docs/experiments/recordings.md.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from avse.active_speaker.av_sync import estimate_av_offset
from avse.active_speaker.correlation import mel_energies, predict_bands, remove_local_mean, shift_frames
from avse.active_speaker.mouth_motion import mouth_change
from avse.config import NUM_BANDS, SAMPLES_PER_FRAME
from avse.dsp import overlap_add, resampling
from avse.dsp.filters import moving_average, moving_maximum
from avse.dsp.levels import AudioStats, db_to_gain
from avse.dsp.windowing import BLOCK_SECONDS, OVERLAP_FRAMES, model_windows
from avse.faces import mouth_roi
from avse.faces.mouth_crops import MouthCrops
from avse.faces.tracking import Track
from avse.io import reader
from avse.models.net import SpeechNet
from avse.progress import Stage, span

RESTING_MOTION = 0.065
SPEAKING_MOTION = 0.10
CORRELATION_FRAMES = 75
CLEAR_CORRELATION = 0.10
SILENT_DB = -25.0
RAMP_FRAMES = 5
MIN_MOTION_FRAMES = 25
MAX_PAUSE_FRAMES, MIN_SPEECH_FRAMES = 12, 10


@dataclass(frozen=True)
class SpeakerActivity:
    """Hold the motion of K mouths in each of V frames, and its correlation with the audio.

    Attributes:
        visible: (K, V) bool.
        motion: (K, V), change of the mouth from frame to frame, its maximum within 0.4 s. Below 0.065 the mouth is at
            rest, above 0.1 it may speak.
        av_correlation: (K, V), correlation of predicted and recorded band energies within 3 s.
        av_offset_frames: frames by which the video comes later than the audio.
    """

    visible: np.ndarray
    motion: np.ndarray
    av_correlation: np.ndarray
    av_offset_frames: int = 0

    @property
    def motion_share(self) -> np.ndarray:
        """Return the share of its visible time in which each mouth moves as in speech, (K,)."""
        moving = (self.motion > SPEAKING_MOTION) & self.visible
        return np.asarray(moving.sum(1) / np.maximum(self.visible.sum(1), 1))

    @property
    def mean_correlation(self) -> np.ndarray:
        """Compute the mean correlation of each face over its visible time, (K,)."""
        return np.asarray((self.av_correlation * self.visible).sum(1) / np.maximum(self.visible.sum(1), 1))

    @property
    def score(self) -> np.ndarray:
        """Compute the correlation averaged over all frames (K,), 0 for still images: largest for the active speaker.

        The amount of motion is not used beyond that: it is less reliable than the correlation, most of all in small or
        soft video (docs/experiments/recordings.md).
        """
        return np.asarray((self.av_correlation * self.visible).mean(1) * ~self.is_still)

    @property
    def speaking(self) -> np.ndarray:
        """Return when each face speaks, (K, V) bool: its mouth moves and is clearly correlated with the audio.

        Pauses of up to half a second count as speech; what is shorter than 0.4 s does not.
        """
        flags = self.visible & (self.motion > SPEAKING_MOTION) & (self.av_correlation > CLEAR_CORRELATION)
        return np.stack([_without_short_runs(face) for face in flags])

    @property
    def is_still(self) -> np.ndarray:
        """Return which faces never move their mouths, such as those on photographs, (K,) bool.

        One movement of any length makes the mouth count as moving for about a second.
        """
        moving = ((self.motion > RESTING_MOTION) & self.visible).sum(1)
        return np.asarray(moving < min(MIN_MOTION_FRAMES, max(self.visible.shape[1] // 5, 1)))


def detect_activity(
    net: SpeechNet,
    recording: reader.Recording,
    tracks: Sequence[Track],
    stats: AudioStats,
    crops: MouthCrops,
    on_frame: Callable[[int], None],
    av_offset_frames: int | None = None,
) -> SpeakerActivity:
    """Measure the activity of all faces: mouth motion, and correlation of lips and audio.

    Args:
        av_offset_frames: the AV offset where it is known; None estimates it from all faces over the whole recording.
    """
    audio = recording.audio_stream
    blocks = reader.read_audio(recording, BLOCK_SECONDS, audio.sample_rate, audio.num_channels)
    at_16_khz = resampling.to_model_rate(blocks, audio.sample_rate, audio.low_frequency)
    mono = model_windows(at_16_khz, stats.num_frames, SAMPLES_PER_FRAME)
    mouths = model_windows(crops.stream(tracks, stats.num_frames), stats.num_frames, 1)
    pieces = (_observe(net, window[:, 0], shown) for window, shown in zip(mono, mouths, strict=True))
    kept = []
    with span(Stage.ACTIVITY):
        for piece in overlap_add.crossfade(pieces, OVERLAP_FRAMES):
            kept.append(piece.astype(np.float16))
            on_frame(sum(map(len, kept)))
    visible = np.stack([mouth_roi.mouth_pose(track, stats.num_frames).visible for track in tracks])
    return _score_facts(np.concatenate(kept), visible, av_offset_frames)


def measure_activity(
    net: SpeechNet, waveform: np.ndarray, mouths: np.ndarray, av_offset_frames: int | None = None
) -> SpeakerActivity:
    """Measure the activity of faces from mouth crops float32 (V, K, H, W) and audio (N,) at 16 kHz, N = 640 V."""
    visible = np.asarray(mouths.any(axis=(2, 3))).T
    return _score_facts(_observe(net, waveform, mouths), visible, av_offset_frames)


def score_activity(
    predicted: np.ndarray,
    energies: np.ndarray,
    change: np.ndarray,
    visible: np.ndarray,
    av_offset_frames: int | None = None,
) -> SpeakerActivity:
    """Score each face in each frame.

    Args:
        predicted: (V, K, bands), band energies predicted from the lips.
        energies: (V, bands), band energies of the audio.
        change: (K, V), change of each mouth from frame to frame.
        visible: (K, V), when each mouth is visible.
        av_offset_frames: the AV offset where it is known; None estimates it.
    """
    offset = estimate_av_offset(predicted, energies, visible) if av_offset_frames is None else av_offset_frames
    audio = shift_frames(remove_local_mean(energies), offset)
    correlation = np.stack(
        [_sliding_correlation(remove_local_mean(predicted[:, k], mask), audio, mask) for k, mask in enumerate(visible)]
    )
    motion = moving_maximum(moving_average(change, 9), 21)
    in_time = [shift_frames(values.T, -offset).T for values in (visible, motion, correlation)]
    return SpeakerActivity(in_time[0], in_time[1], in_time[2], offset)


def activity_gain(activity: SpeakerActivity, face: int) -> np.ndarray:
    """Compute the activity gate of a face, (V,): 1, or -25 dB while its mouth is at rest and another face speaks.

    The other mouth must move, and be clearly correlated with the audio at that time, or be so usually and not be
    anticorrelated at that time.
    """
    others = np.arange(len(activity.visible)) != face
    rests = (activity.motion[face] < RESTING_MOTION) & activity.visible[face]
    moves = (activity.motion[others] > SPEAKING_MOTION) & activity.visible[others]
    correlation = activity.av_correlation[others]
    usual = (correlation * moves).sum(1, keepdims=True) / np.maximum(moves.sum(1, keepdims=True), 1)
    fits = (correlation > CLEAR_CORRELATION) | ((correlation > 0) & (usual > CLEAR_CORRELATION))
    silent = rests & (moves & fits & (correlation > activity.av_correlation[face])).any(0)
    level_db = SILENT_DB * moving_average(silent.astype(np.float32), RAMP_FRAMES)
    return np.asarray(db_to_gain(level_db), np.float32)


def moves_alone(activity: SpeakerActivity, face: int) -> np.ndarray:
    """Return when only this face's mouth moves as in speech, and all others are visible and at rest, (V,) bool."""
    others = np.arange(len(activity.visible)) != face
    moves = (activity.motion[face] > SPEAKING_MOTION) & activity.visible[face]
    rest = (activity.motion[others] < RESTING_MOTION) & activity.visible[others]
    return np.asarray(moves & rest.all(0))


def _score_facts(facts: np.ndarray, visible: np.ndarray, av_offset_frames: int | None) -> SpeakerActivity:
    """Score the faces from what `_observe` returns; ``visible`` is (K, V)."""
    num_faces = len(visible)
    predicted, energies, change = np.split(facts, [num_faces * NUM_BANDS, (num_faces + 1) * NUM_BANDS], axis=1)
    predicted = predicted.reshape(len(facts), num_faces, NUM_BANDS)
    return score_activity(predicted, energies, change.T.astype(np.float32), visible, av_offset_frames)


@torch.inference_mode()
def _observe(net: SpeechNet, mono: np.ndarray, crops: np.ndarray) -> np.ndarray:
    """Compute predicted energies, energies and mouth changes, a row per frame; audio is (N,), mouths (V, K, H, W)."""
    mouths = torch.from_numpy(crops).transpose(0, 1).contiguous()
    predicted = predict_bands(net, mouths).flatten(1)
    energies = mel_energies(torch.from_numpy(mono.copy()))
    return torch.cat([predicted, energies, mouth_change(mouths, mouths.flatten(2).any(-1))], 1).numpy()


def _without_short_runs(flags: np.ndarray) -> np.ndarray:
    """Fill short gaps of a flag (V,), then clear short runs."""
    flags = flags.copy()
    for value, shortest in ((False, MAX_PAUSE_FRAMES), (True, MIN_SPEECH_FRAMES)):
        edges = np.flatnonzero(np.diff(flags.astype(int))) + 1
        for begin, end in zip([0, *edges], [*edges, len(flags)], strict=True):
            is_inside = value or (begin > 0 and end < len(flags))
            if flags[begin] == value and end - begin < shortest and is_inside:
                flags[begin:end] = not value
    return flags


def _sliding_correlation(lips: np.ndarray, audio: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Compute the correlation (V,) over all bands (V, bands) of the visible frames within 3 s around each frame."""
    count = moving_average(visible.astype(np.float32), CORRELATION_FRAMES, mode="constant")
    both, own, other = (
        moving_average((a * b).sum(1) * visible, CORRELATION_FRAMES, mode="constant") / np.maximum(count, 1e-6)
        for a, b in ((lips, audio), (lips, lips), (audio, audio))
    )
    return np.asarray(both / np.sqrt(np.maximum(own, 1e-3) * np.maximum(other, 1.0)))
