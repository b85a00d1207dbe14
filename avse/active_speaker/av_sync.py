"""Estimate the AV offset of a recording, and compensate it for the mouth crops of a single face.

The band energies predicted from the lips are correlated with those of the audio at every offset. Thresholds were
measured in docs/experiments/recordings.md.

Legend: `K` faces, `N` samples, `V` video frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice

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
from avse.io import reader
from avse.models.net import SpeechNet
from avse.progress import Stage, span

MAX_OFFSET_FRAMES = 8
LOOK_FRAMES = 1500
SEARCH_FRAMES = 7500
MIN_CORRELATION_FRAMES = 500
CHANCE_FRAMES = 125
CHANCE_CORRELATION = 0.09
"""Slightly above the standard deviation of the correlation between mismatched lips and audio over 5 s, which is
``CHANCE_FRAMES`` (docs/experiments/recordings.md); it falls with the square root of the time."""
CLEAR, CLEAR_TOGETHER = 2.5, 7.5
"""An offset is accepted if its correlation and its lead over offset 0 are each at least ``CLEAR`` times the chance
correlation, and together at least ``CLEAR_TOGETHER`` times."""


def compensate_av_offset(
    net: SpeechNet,
    recording: reader.Recording,
    stats: AudioStats,
    target: TargetSpeaker | None,
    on_frame: Callable[[int], None],
) -> TargetSpeaker | None:
    """Return the target with its AV offset and correlation, and with its mouth crops: the video is decoded once.

    The offset is estimated in the first minute in which the face is visible, if that lies in the first five minutes;
    otherwise it is 0. A target whose offset is known is returned as it is.
    """
    if net.lips is None or target is None or target.av_offset_frames is not None:
        return target
    mouths = mouth_roi.crop_tracks(recording, [target.track], stats.num_frames)
    head = list(_first_minute(mouths, on_frame))
    on_frame(stats.num_frames)
    with span(Stage.AV_OFFSET):
        offset, correlation = _offset_and_correlation(net, recording, head)
    return replace(target, av_offset_frames=offset, av_correlation=correlation, mouths=chain(head, mouths))


def estimate_av_offset(predicted: np.ndarray, energies: np.ndarray, visible: np.ndarray) -> int:
    """Return the number of frames by which the video is late; 0 unless another value is far clearer than chance.

    Args:
        predicted: (V, K, bands), band energies predicted from the lips.
        energies: (V, bands), band energies of the audio.
        visible: (K, V), when each mouth is visible.
    """
    offsets, audio = range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1), remove_local_mean(energies)
    clear = np.zeros(len(offsets))
    for face, mask in enumerate(visible):
        if mask.any():
            mouth = remove_local_mean(predicted[:, face], mask)[mask]
            found = np.array([correlate(mouth, shift_frames(audio, offset)[mask]) for offset in offsets])
            clear += found / (CHANCE_CORRELATION * np.sqrt(CHANCE_FRAMES / mask.sum())) / np.sqrt(len(visible))
    best = int(np.argmax(clear))
    lead = clear[best] - clear[MAX_OFFSET_FRAMES]
    return offsets[best] if min(clear[best], lead) > CLEAR and clear[best] + lead > CLEAR_TOGETHER else 0


def _first_minute(mouths: Iterator[np.ndarray], on_frame: Callable[[int], None]) -> Iterator[np.ndarray]:
    """Yield mouths (1, 1, 88, 88) until one was visible for a minute; those not visible share their memory."""
    num_visible, nothing = 0, np.zeros((1, 1, mouth_roi.CROP_SIZE, mouth_roi.CROP_SIZE), np.uint8)
    for index, mouth in enumerate(islice(mouths, SEARCH_FRAMES)):
        is_visible = bool(mouth.any())
        yield mouth if is_visible else nothing
        num_visible += is_visible
        on_frame(index)
        if num_visible == LOOK_FRAMES:
            return


def _offset_and_correlation(
    net: SpeechNet, recording: reader.Recording, head: list[np.ndarray]
) -> tuple[int, float | None]:
    """Return the AV offset of the first mouths, and their correlation with the audio if visible for 20 s or more."""
    audio = recording.sound
    blocks = reader.read_audio(recording, BLOCK_SECONDS, audio.sample_rate, audio.num_channels)
    at_16_khz = resampling.regroup(
        resampling.to_model_rate(blocks, audio.sample_rate), WINDOW_FRAMES * SAMPLES_PER_FRAME
    )
    predicted, energies, visible = [], [], []
    for start, mono in zip(range(0, len(head), WINDOW_FRAMES), at_16_khz, strict=False):
        num_frames = min(len(mono) // SAMPLES_PER_FRAME, WINDOW_FRAMES, len(head) - start)
        if num_frames:
            mouths = np.concatenate(head[start : start + num_frames])  # (V, 1, 88, 88)
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
