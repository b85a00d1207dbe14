"""By how much a picture comes late beside its sound, and the mouths of an only face brought in time with it.

What the lips tell of the sound is compared with the sound at every offset. Measured in docs/recordings.md.

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

MAX_OFFSET_FRAMES = 8
LOOK_FRAMES = 1500
SEARCH_FRAMES = 7500
MIN_CORRELATION_FRAMES = 500
CHANCE_CORRELATION = 0.09
"""A little more than strange lips' correlation over 5 s is off by (docs/recordings.md); over longer times less."""
CLEAR, CLEAR_TOGETHER = 2.5, 7.5
"""A lag counts whose correlation, and whose lead over no lag, are so many times chance each, and so many in sum."""


def compensate_av_offset(
    net: SpeechNet,
    recording: reader.Recording,
    stats: AudioStats,
    followed: TargetSpeaker | None,
    on_frame: Callable[[int], None],
) -> TargetSpeaker | None:
    """A face whose lag is not known yet, with its lag, and its mouths as they are decoded: the picture is read once.

    The lag is that of the first minute in which the face is seen, if that lies in the first five; else it counts as 0.
    How well its lips agree with the sound is found there too.
    """
    if net.lips is None or followed is None or followed.av_offset_frames is not None:
        return followed
    mouths = mouth_roi.crop_tracks(recording, [followed.track], stats.num_frames)
    head = list(_first_minute(mouths, on_frame))
    on_frame(stats.num_frames)
    av_offset_frames, agreement = _offset_and_correlation(net, recording, head)
    return replace(followed, av_offset_frames=av_offset_frames, agreement=agreement, mouths=chain(head, mouths))


def estimate_av_offset(told: np.ndarray, energies: np.ndarray, seen: np.ndarray) -> int:
    """Frames by which the picture comes late; 0 unless another value is far clearer than chance.

    From what the lips tell (V, K, bands), what is heard (V, bands), and when the mouths are seen (K, V).
    """
    lags, sound = range(-MAX_OFFSET_FRAMES, MAX_OFFSET_FRAMES + 1), remove_local_mean(energies)
    clear = np.zeros(len(lags))
    for face, mask in enumerate(seen):
        if mask.any():
            mouth = remove_local_mean(told[:, face], mask)[mask]
            found = np.array([correlate(mouth, shift_frames(sound, lag)[mask]) for lag in lags])
            clear += found / (CHANCE_CORRELATION * np.sqrt(125 / mask.sum())) / np.sqrt(len(seen))
    best = int(np.argmax(clear))
    lead = clear[best] - clear[MAX_OFFSET_FRAMES]
    return lags[best] if min(clear[best], lead) > CLEAR and clear[best] + lead > CLEAR_TOGETHER else 0


def _first_minute(mouths: Iterator[np.ndarray], on_frame: Callable[[int], None]) -> Iterator[np.ndarray]:
    """Mouths (1, 1, 88, 88) until one was seen for a minute; those not seen share their memory."""
    num_seen, nothing = 0, np.zeros((1, 1, mouth_roi.CROP_SIZE, mouth_roi.CROP_SIZE), np.uint8)
    for index, mouth in enumerate(islice(mouths, SEARCH_FRAMES)):
        is_seen = bool(mouth.any())
        yield mouth if is_seen else nothing
        num_seen += is_seen
        on_frame(index)
        if num_seen == LOOK_FRAMES:
            return


def _offset_and_correlation(
    net: SpeechNet, recording: reader.Recording, head: list[np.ndarray]
) -> tuple[int, float | None]:
    """Lag of the mouths with which a recording begins; their agreement with the sound, if they are seen for 20 s."""
    assert recording.audio is not None
    blocks = reader.read_audio(recording, BLOCK_SECONDS, recording.audio.sample_rate, recording.audio.num_channels)
    heard = resampling.regroup(
        resampling.to_model_rate(blocks, recording.audio.sample_rate), WINDOW_FRAMES * SAMPLES_PER_FRAME
    )
    told, energies, seen = [], [], []
    for start, mono in zip(range(0, len(head), WINDOW_FRAMES), heard, strict=False):
        num_frames = min(len(mono) // SAMPLES_PER_FRAME, WINDOW_FRAMES, len(head) - start)
        if num_frames:
            mouths = np.concatenate(head[start : start + num_frames])  # (V, 1, 88, 88)
            told.append(predict_bands(net, torch.from_numpy(mouths).transpose(0, 1).contiguous()).numpy())
            energies.append(mel_energies(torch.from_numpy(mono[: num_frames * SAMPLES_PER_FRAME, 0].copy())).numpy())
            seen.append(mouth_roi.visible(mouths[:, 0]))
    if not told:
        return 0, None
    mouth, sound, shown = (np.concatenate(parts) for parts in (told, energies, seen))
    lag = estimate_av_offset(mouth, sound, shown[None])
    return lag, av_correlation(
        mouth[:, 0], shift_frames(sound, lag), shown
    ) if shown.sum() >= MIN_CORRELATION_FRAMES else None
