"""Which of several faces speaks, and when: its mouth moves, and moves with the sound.

The lip stream tells from the lips alone what the sound should be (its energy in bands); how well that goes with what is
heard tells whose sound it is. Mouths that rest tell who is silent. Measured in docs/recordings.md.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from avse.active_speaker.av_sync import estimate_av_offset
from avse.active_speaker.correlation import mel_energies, predict_bands, remove_local_mean, shift_frames
from avse.active_speaker.mouth_motion import mouth_change
from avse.config import NUM_BANDS, SAMPLES_PER_FRAME
from avse.dsp import overlap_add, resampling
from avse.dsp.levels import AudioStats
from avse.dsp.windowing import BLOCK_SECONDS, OVERLAP_FRAMES, model_windows
from avse.faces import mouth_roi
from avse.faces.tracking import Track
from avse.io import reader
from avse.models.net import SpeechNet

RESTING_MOTION = 0.065
SPEAKING_MOTION = 0.10
CORRELATION_FRAMES = 75
CLEAR_CORRELATION = 0.10
SILENT_DB = -25.0
RAMP_FRAMES = 5


@dataclass(frozen=True)
class SpeakerActivity:
    """What K mouths do in each of V frames, and how well it goes with the sound.

    ``seen`` bool (K, V). ``motion`` (K, V): change of the mouth from frame to frame, at its largest within 0.4 s; below
    0.065 it rests, above 0.1 it may speak. ``match`` (K, V): correlation of the energies that the lips tell with those
    heard, within 3 s. ``lag_frames``: by how much the picture comes later than the sound.
    """

    seen: np.ndarray
    motion: np.ndarray
    match: np.ndarray
    av_offset_frames: int = 0

    @property
    def moving(self) -> np.ndarray:
        """Share of the time seen in which each mouth moves, (K,)."""
        return np.asarray(((self.motion > SPEAKING_MOTION) & self.seen).sum(1) / np.maximum(self.seen.sum(1), 1))

    @property
    def agreement(self) -> np.ndarray:
        """Mean match of each face over the time seen, (K,)."""
        return np.asarray((self.match * self.seen).sum(1) / np.maximum(self.seen.sum(1), 1))

    @property
    def score(self) -> np.ndarray:
        """Match while the mouth moves, over all the time, (K,): what the active speaker has most of."""
        return np.asarray((self.match * (self.motion > SPEAKING_MOTION) * self.seen).mean(1))


def detect_activity(
    net: SpeechNet,
    recording: reader.Recording,
    tracks: Sequence[Track],
    stats: AudioStats,
    on_frame: Callable[[int], None],
) -> SpeakerActivity:
    """Look at the mouths of all faces in one pass, and compare them with the sound."""
    assert recording.audio is not None
    blocks = reader.read_audio(recording, BLOCK_SECONDS, recording.audio.sample_rate, recording.audio.num_channels)
    heard = model_windows(
        resampling.to_model_rate(blocks, recording.audio.sample_rate), stats.num_frames, SAMPLES_PER_FRAME
    )
    mouths = model_windows(mouth_roi.crop_tracks(recording, tracks, stats.num_frames), stats.num_frames, 1)
    pieces = (_observe(net, mono[:, 0], crops) for mono, crops in zip(heard, mouths, strict=True))
    kept = []
    for piece in overlap_add.crossfade(pieces, OVERLAP_FRAMES):
        kept.append(piece.astype(np.float16))
        on_frame(sum(map(len, kept)))
    facts = np.concatenate(kept)
    told, energies, change = np.split(facts, [len(tracks) * NUM_BANDS, (len(tracks) + 1) * NUM_BANDS], axis=1)
    seen = np.stack([mouth_roi.mouth_pose(track, stats.num_frames).seen for track in tracks])
    return score_activity(told.reshape(len(facts), len(tracks), NUM_BANDS), energies, change.T.astype(np.float32), seen)


def score_activity(told: np.ndarray, energies: np.ndarray, change: np.ndarray, seen: np.ndarray) -> SpeakerActivity:
    """From what the lips tell (V, K, bands), what is heard (V, bands), and change (K, V) of the mouths seen (K, V)."""
    lag = estimate_av_offset(told, energies, seen)
    sound = shift_frames(remove_local_mean(energies), lag)
    match = np.stack(
        [_sliding_correlation(remove_local_mean(told[:, k], mask), sound, mask) for k, mask in enumerate(seen)]
    )
    motion = maximum_filter1d(uniform_filter1d(change, 9, axis=1), 21, axis=1)
    back = [shift_frames(values.T, -lag).T for values in (seen, motion, match)]
    return SpeakerActivity(back[0], back[1], back[2], lag)


def activity_gain(activity: SpeakerActivity, face: int) -> np.ndarray:
    """Gain (V,) for a face: 1, but -25 dB while its mouth rests and another face's goes with the sound.

    The other mouth must move, and go with the sound clearly just then, or usually and not against it just then.
    """
    others = np.arange(len(activity.seen)) != face
    rests = (activity.motion[face] < RESTING_MOTION) & activity.seen[face]
    moves = (activity.motion[others] > SPEAKING_MOTION) & activity.seen[others]
    match = activity.match[others]
    usual = (match * moves).sum(1, keepdims=True) / np.maximum(moves.sum(1, keepdims=True), 1)
    fits = (match > CLEAR_CORRELATION) | ((match > 0) & (usual > CLEAR_CORRELATION))
    silent = rests & (moves & fits & (match > activity.match[face])).any(0)
    level_db = SILENT_DB * uniform_filter1d(silent.astype(np.float32), RAMP_FRAMES)
    return np.asarray(10 ** (level_db / 20), np.float32)


@torch.inference_mode()
def _observe(net: SpeechNet, heard: np.ndarray, mouths: np.ndarray) -> np.ndarray:
    """What a window of sound (N,) and mouths (V, K, 88, 88) shows: told and heard energies, change; one row a frame."""
    pictures = torch.from_numpy(mouths).transpose(0, 1).contiguous()
    told = predict_bands(net, pictures).flatten(1)
    energies = mel_energies(torch.from_numpy(heard.copy()))
    return torch.cat([told, energies, mouth_change(pictures, pictures.flatten(2).any(-1))], 1).numpy()


def _sliding_correlation(mouth: np.ndarray, sound: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Correlation (V,) over all bands (V, bands), of the frames seen within 3 s around each."""
    count = uniform_filter1d(seen.astype(np.float32), CORRELATION_FRAMES, mode="constant")
    both, own, other = (
        uniform_filter1d((a * b).sum(1) * seen, CORRELATION_FRAMES, mode="constant") / np.maximum(count, 1e-6)
        for a, b in ((mouth, sound), (mouth, mouth), (sound, sound))
    )
    return np.asarray(both / np.sqrt(np.maximum(own, 1e-3) * np.maximum(other, 1.0)))
