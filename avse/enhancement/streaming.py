"""The network on a recording, as a stream: windows of sound and mouths in, masks out, laid on its own sound.

Legend: `C` channels, `F` frequency bins, `T` STFT frames, `N` samples, `V` video frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

import numpy as np
from torch import Tensor

from avse.active_speaker.target import TargetSpeaker
from avse.config import SAMPLES_PER_FRAME, VIDEO_FPS
from avse.dsp import overlap_add, resampling
from avse.dsp.levels import AudioStats
from avse.dsp.windowing import BLOCK_SECONDS, OVERLAP_FRAMES, model_windows
from avse.enhancement.masking import apply_mask, compute_mask, half_hop_ensemble, interpolate_gain, processing_rate
from avse.enhancement.validation import check_samples
from avse.faces import mouth_roi
from avse.io import reader
from avse.models.net import SpeechNet
from avse.progress import Report


def enhance_stream(
    net: SpeechNet,
    recording: reader.Recording,
    stats: AudioStats,
    followed: TargetSpeaker | None,
    report: Report,
    strength: float = 1.0,
) -> Iterator[np.ndarray]:
    """Enhanced sound, float32 blocks (N, C) at the recording's own rate, as many samples in all as it has."""
    for (block,) in enhance_streams(net, recording, stats, [followed] if followed else [], report, strength):
        yield block


def enhance_streams(
    net: SpeechNet,
    recording: reader.Recording,
    stats: AudioStats,
    followed: Sequence[TargetSpeaker],
    report: Report,
    strength: float = 1.0,
) -> Iterator[tuple[np.ndarray, ...]]:
    """As `separate` for several faces, in one pass over sound and picture: a block of each, step by step.

    Without any face, one answer from the sound alone.
    """
    assert recording.audio is not None
    rate = recording.audio.sample_rate
    mouths = (
        mouth_streams(recording, followed, stats.num_frames) if followed else [mouth_roi.blank_crops(stats.num_frames)]
    )
    gains = [face.gain for face in followed] or [None]
    blocks = itertools.tee(reader.read_audio(recording, BLOCK_SECONDS, rate, recording.audio.num_channels), len(mouths))
    answers = (
        enhance_blocks(net, sound, rate, stats, crops, strength, gain)
        for sound, crops, gain in zip(blocks, mouths, gains, strict=True)
    )
    done = 0
    for step in zip(*answers, strict=True):
        for block in step:
            check_samples(block, stats.peak)
        yield step
        done += len(step[0])
        report("enhancing", done, stats.num_samples)


def mouth_streams(
    recording: reader.Recording, followed: Sequence[TargetSpeaker], num_frames: int
) -> list[Iterator[np.ndarray]]:
    """For each face a stream of mouths (1, 88, 88), one a frame, in time with the sound; one pass over the picture."""
    lag = followed[0].av_offset_frames or 0
    unseen = (np.zeros((1, len(followed), mouth_roi.CROP_SIZE, mouth_roi.CROP_SIZE), np.uint8) for _ in range(-lag))
    seen = followed[0].mouths or mouth_roi.crop_tracks(recording, [face.track for face in followed], num_frames)
    streams = itertools.tee(itertools.chain(unseen, itertools.islice(seen, max(lag, 0), None)), len(followed))
    return [map(itemgetter((slice(None), number)), part) for number, part in enumerate(streams)]


def enhance_blocks(
    net: SpeechNet,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    stats: AudioStats,
    mouths: Iterator[np.ndarray],
    strength: float = 1.0,
    gain: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Enhance a stream of sound (N, C) with one mouth (1, 88, 88) for each video frame.

    ``gain`` (V,) is laid over the mask, one value for each video frame.

    ``strength`` mixes the sound as it was with the sound under the mask: 1 is the mask alone, 0 changes nothing, and s
    between them leaves the surroundings 20 log10(1 - s) dB below where they were, whatever the mask says.
    """
    rate, hop = processing_rate(sample_rate, net.config.hop), net.config.hop
    per_frame, num_frames = rate // VIDEO_FPS, stats.num_frames
    for_net, for_mask = itertools.tee(blocks)
    heard = model_windows(resampling.to_model_rate(for_net, sample_rate), num_frames, SAMPLES_PER_FRAME)
    stage = model_windows(resampling.resample(for_mask, sample_rate, rate), num_frames, per_frame)
    gains = model_windows(iter([np.ones(num_frames, np.float32) if gain is None else gain]), num_frames, 1)

    def mask(mono: np.ndarray, crops: np.ndarray, level: np.ndarray) -> Tensor:
        found = compute_mask(net, half_hop_ensemble(mono[:, 0], hop), crops, stats.rms)
        return 1 + strength * (found * interpolate_gain(level, found.shape[-1]) - 1)

    pieces = (
        apply_mask(full, mask(mono, crops, level), per_frame, hop)
        for mono, full, crops, level in zip(heard, stage, model_windows(mouths, num_frames, 1), gains, strict=True)
    )
    joined = overlap_add.crossfade(pieces, OVERLAP_FRAMES * per_frame)
    return resampling.trim_to_length(resampling.resample(joined, rate, sample_rate), stats.num_samples)
