"""Run the network over a recording as a stream: windows of audio and mouth crops in, enhanced blocks out.

Legend: `C` channels, `F` frequency bins, `T` STFT frames, `N` samples, `S` side in pixels, `V` video frames.
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
from avse.enhancement.masking import (
    apply_mask,
    compute_mask,
    half_hop_ensemble,
    interpolate_gain,
    merge_masks,
    processing_rate,
)
from avse.enhancement.validation import check_samples
from avse.enhancement.visual_reliability import VisualReliability, weight_by_reliability
from avse.faces import mouth_roi
from avse.faces.mouth_crops import MouthCrops
from avse.io import reader
from avse.models.net import SpeechNet
from avse.progress import Report, Stage, timed_items

FaceWindow = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
"""Mouth crops (V, H, W), gain (V,) and whether no other mouth may explain the audio (V,), of one window."""


def enhance_streams(
    net: SpeechNet,
    recording: reader.Recording,
    stats: AudioStats,
    targets: Sequence[TargetSpeaker],
    crops: MouthCrops | None,
    report: Report,
    strength: float = 1.0,
    together: bool = False,
    reliability: VisualReliability | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Enhance the voice of each target speaker in one pass over audio and mouth crops.

    Yields a block (N, C) for each target at a time, float32 at the recording's own rate, as many samples in all as the
    recording has. Without targets it yields one block, enhanced from the audio alone; with ``together`` it yields one
    block with the voices of all targets. The video counts as far as it is reliable, which
    ``reliability`` records.
    """
    rate, num_frames = recording.audio_stream.sample_rate, stats.num_frames
    noted = VisualReliability() if reliability is None else reliability
    mouths = mouth_streams(crops, targets, num_frames) if crops and targets else [mouth_roi.blank_crops(num_frames)]
    gains, alone = ([getattr(target, name) for target in targets] or [None] for name in ("gain", "alone"))
    masked = list(zip(mouths, gains, alone, strict=True))
    outputs = [masked] if together else [[one] for one in masked]
    blocks = itertools.tee(
        reader.read_audio(recording, BLOCK_SECONDS, rate, recording.audio_stream.num_channels), len(outputs)
    )
    voices = (
        enhance_blocks(net, audio, rate, stats, crops, strength, levels, noted, judged)
        for audio, faces in zip(blocks, outputs, strict=True)
        for crops, levels, judged in [list(zip(*faces, strict=True))]
    )
    done = 0
    for step in timed_items(Stage.OVERLAP_ADD, zip(*voices, strict=True)):
        for block in step:
            check_samples(block, stats.peak)
        yield step
        done += len(step[0])
        report("enhancing", done, stats.num_samples)


def mouth_streams(crops: MouthCrops, targets: Sequence[TargetSpeaker], num_frames: int) -> list[Iterator[np.ndarray]]:
    """Return a stream of mouth crops (1, S, S) for each target, one a video frame, AV offset compensated."""
    offset = targets[0].av_offset_frames or 0
    blank = (np.zeros((1, len(targets), crops.side, crops.side), np.float32) for _ in range(-offset))
    mouths = itertools.islice(crops.stream([target.track for target in targets], num_frames), max(offset, 0), None)
    streams = itertools.tee(itertools.chain(blank, mouths), len(targets))
    return [map(itemgetter((slice(None), number)), part) for number, part in enumerate(streams)]


def face_windows(
    crops: Iterator[np.ndarray], gain: np.ndarray | None, alone: np.ndarray | None, num_frames: int
) -> Iterator[FaceWindow]:
    """Cut the stream of a face, its gain and its flag (V,) into the windows that the network sees."""
    levels, flags = (
        itertools.repeat(None) if values is None else model_windows(iter([values]), num_frames, 1)
        for values in (gain, alone)
    )
    return zip(model_windows(crops, num_frames, 1), levels, flags, strict=False)


def enhance_blocks(
    net: SpeechNet,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    stats: AudioStats,
    mouths: Sequence[Iterator[np.ndarray]],
    strength: float = 1.0,
    gains: Sequence[np.ndarray | None] = (None,),
    reliability: VisualReliability | None = None,
    alone: Sequence[np.ndarray | None] | None = None,
) -> Iterator[np.ndarray]:
    """Enhance a stream of audio blocks (N, C): the voice of one face, or of several faces together.

    With several faces, each bin gets the largest mask, so that nothing is louder than in the recording.

    Args:
        mouths: for each face a stream of crops (1, S, S), one for each video frame.
        strength: 1 applies the mask alone, 0 changes nothing. In between, the original is mixed in, so that nothing is
            attenuated by more than -20 log10(1 - strength) dB.
        gains: for each face (V,), applied to its mask, one value for each video frame; None is 1 everywhere.
        reliability: if given, the video of each face counts as far as it is reliable.
        alone: for each face (V,) bool, when no other mouth may explain the audio; None is always.
    """
    rate, hop = processing_rate(sample_rate, net.config.hop), net.config.hop
    per_frame, num_frames = rate // VIDEO_FPS, stats.num_frames
    for_net, for_mask = itertools.tee(blocks)
    mono_windows = model_windows(resampling.to_model_rate(for_net, sample_rate), num_frames, SAMPLES_PER_FRAME)
    full_windows = model_windows(resampling.resample(for_mask, sample_rate, rate), num_frames, per_frame)
    weights = reliability if net.lips is not None else None
    streams = zip(mouths, gains, alone or [None] * len(gains), strict=True)
    faces = zip(*(face_windows(*stream, num_frames) for stream in streams), strict=True)

    def mask(mono: np.ndarray, shown: Sequence[FaceWindow]) -> Tensor:
        both_grids, masks = half_hop_ensemble(mono[:, 0], hop), []
        for crops, level, judged in shown:
            found = compute_mask(net, both_grids, crops, stats.rms)
            if weights is not None:
                found = weight_by_reliability(net, both_grids, crops, stats.rms, found, weights, judged)
            masks.append(found if level is None else found * interpolate_gain(level, found.shape[-1]))
        return 1 + strength * (merge_masks(masks) - 1)

    windows = zip(mono_windows, full_windows, faces, strict=True)
    pieces = (apply_mask(full, mask(mono, shown), per_frame, hop) for mono, full, shown in windows)
    joined = overlap_add.crossfade(pieces, OVERLAP_FRAMES * per_frame)
    return resampling.trim_to_length(resampling.resample(joined, rate, sample_rate), stats.num_samples)
