"""Estimate the AV offset of a recording, and compensate it for the mouth crops of a single face.

The band energies predicted from the lips are correlated with those of the audio at every offset. Thresholds were
measured in docs/experiments/recordings.md.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from avse.active_speaker.correlation import (
    av_correlation,
    correlate,
    mel_energies,
    predict_bands,
    remove_local_mean,
    shift_frames,
)
from avse.active_speaker.target import TargetSpeaker
from avse.config import SAMPLES_PER_FRAME
from avse.dsp import resampling
from avse.dsp.levels import AudioStats
from avse.dsp.windowing import BLOCK_SECONDS, WINDOW_FRAMES
from avse.faces import mouth_roi
from avse.faces.mouth_crops import MouthCrops
from avse.io import reader
from avse.models.net import SpeechNet
from avse.progress import Stage, span

MAX_OFFSET_FRAMES = 8
MAX_VISIBLE_FRAMES = 1500
SEARCH_FRAMES = 7500
MIN_CORRELATION_FRAMES = 500
CHANCE_FRAMES = 125
CHANCE_CORRELATION = 0.078
"""Standard deviation of the correlation between mismatched lips and audio over 5 s, which is
``CHANCE_FRAMES``; it falls with the square root of the time."""
MODEL_ERROR = 0.05
"""Standard deviation that does not shrink with the duration: syllables resemble each other."""
EXPECTED_CORRELATION = 0.17
"""Correlation of lips with their own voice in a mixture."""
CLEAR = 2.0
"""An offset is accepted only if a correlation is at least this multiple of the chance correlation."""
IN_SYNC, EARLIER, LATER = 0.6, 0.7, 0.5
"""Prior: probability of no offset, and ratio of the probabilities of successive frames for early and late video."""


def compensate_av_offset(
    net: SpeechNet,
    recording: reader.Recording,
    stats: AudioStats,
    target: TargetSpeaker | None,
    crops: MouthCrops,
    on_frame: Callable[[int], None],
) -> TargetSpeaker | None:
    """Return the target with its AV offset and correlation.

    The offset is estimated in the first minute in which the face is visible, if that lies in the first five minutes;
    otherwise it is 0. A target whose offset is known is returned as it is.
    """
    if net.lips is None or target is None or target.av_offset_frames is not None:
        return target
    head = list(_first_minute(crops.stream([target.track], stats.num_frames), on_frame))
    on_frame(stats.num_frames)
    with span(Stage.AV_OFFSET):
        offset, correlation = _offset_and_correlation(net, recording, head)
    return replace(target, av_offset_frames=offset, av_correlation=correlation)


def estimate_av_offset(predicted: np.ndarray, energies: np.ndarray, visible: np.ndarray) -> int:
    """Estimate by how many frames the video is late (negative: early); 0 if there is not enough evidence.

    The correlations at all offsets are combined with a prior (most videos are in sync, and early ones are more
    common than late ones). The result is the offset with the largest expected benefit; one frame off is nearly as good.

    Args:
        predicted: (V, K, bands), band energies predicted from the lips.
        energies: (V, bands), band energies of the audio.
        visible: (K, V), when each mouth is visible.
    """
    offsets = np.arange(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1)
    audio, evidence, clearest = remove_local_mean(energies), [], 0.0
    for face, mask in enumerate(visible):
        if mask.any():
            mouth = remove_local_mean(predicted[:, face], mask)[mask]
            found = np.array([correlate(mouth, shift_frames(audio, offset)[mask]) for offset in map(int, offsets)])
            chance = CHANCE_CORRELATION * np.sqrt(CHANCE_FRAMES / mask.sum())
            clearest = max(clearest, float(found.max() / chance))
            evidence.append(EXPECTED_CORRELATION * found / (chance**2 + MODEL_ERROR**2))
    if clearest < CLEAR:
        return 0
    weighed = np.logaddexp.reduce(evidence, axis=0) + np.log(_prior(offsets))
    return int(offsets[np.argmax(_benefit(offsets[:, None] - offsets) @ np.exp(weighed - weighed.max()))])


def _prior(offsets: np.ndarray) -> np.ndarray:
    """Return the probability of each offset before any audio is measured."""
    rare = np.where(offsets < 0, EARLIER ** -offsets.clip(max=0), 0.5 * LATER ** offsets.clip(min=0))
    rare[offsets == 0] = 0.0
    return np.where(offsets == 0, IN_SYNC, rare * (1 - IN_SYNC) / max(rare.sum(), 1e-9))


def _benefit(frames: np.ndarray) -> np.ndarray:
    """Return the share of the lips' benefit that is left after an error of so many frames (docs/training.md)."""
    return np.interp(np.abs(frames), [0, 1, 2, 3, 4, 6], [1.0, 0.85, 0.6, 0.4, 0.3, 0.25])


def _first_minute(mouths: Iterator[np.ndarray], on_frame: Callable[[int], None]) -> Iterator[np.ndarray]:
    """Yield mouths (1, 1, H, W) until one was visible for a minute; those not visible share their memory."""
    num_visible, nothing = 0, None
    for index, mouth in enumerate(islice(mouths, SEARCH_FRAMES)):
        is_visible = bool(mouth.any())
        nothing = np.zeros_like(mouth) if nothing is None else nothing
        yield mouth.copy() if is_visible else nothing
        num_visible += is_visible
        on_frame(index)
        if num_visible == MAX_VISIBLE_FRAMES:
            return


def _offset_and_correlation(
    net: SpeechNet, recording: reader.Recording, head: list[np.ndarray]
) -> tuple[int, float | None]:
    """Return the AV offset of the first mouths, and their correlation with the audio if visible for 20 s or more."""
    audio = recording.audio_stream
    blocks = reader.read_audio(recording, BLOCK_SECONDS, audio.sample_rate, audio.num_channels)
    at_16_khz = resampling.regroup(
        resampling.to_model_rate(blocks, audio.sample_rate, audio.low_frequency), WINDOW_FRAMES * SAMPLES_PER_FRAME
    )
    predicted, energies, visible = [], [], []
    for start, mono in zip(range(0, len(head), WINDOW_FRAMES), at_16_khz, strict=False):
        num_frames = min(len(mono) // SAMPLES_PER_FRAME, WINDOW_FRAMES, len(head) - start)
        if num_frames:
            mouths = np.concatenate(head[start : start + num_frames])  # (V, 1, H, W)
            predicted.append(predict_bands(net, torch.from_numpy(mouths).transpose(0, 1).contiguous()).numpy())
            energies.append(mel_energies(torch.from_numpy(mono[: num_frames * SAMPLES_PER_FRAME, 0].copy())).numpy())
            visible.append(mouth_roi.visible(mouths[:, 0]))
    if not predicted:
        return 0, None
    lips, bands, shown = (np.concatenate(parts) for parts in (predicted, energies, visible))
    offset = estimate_av_offset(lips, bands, shown[None])
    if shown.sum() < MIN_CORRELATION_FRAMES:
        return offset, None
    return offset, av_correlation(lips[:, 0], shift_frames(bands, offset), shown)
