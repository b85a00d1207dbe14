"""Run the network over a recording as a stream: windows of audio and mouth crops in, enhanced blocks out.

Legend: `C` channels, `F` frequency bins, `T` STFT frames, `N` samples, `S` side in pixels, `V` video frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from torch import Tensor

from avse.active_speaker.target import TargetSpeaker
from avse.config import SAMPLES_PER_FRAME, VIDEO_FPS
from avse.dsp import overlap_add, resampling
from avse.dsp.levels import AudioStats
from avse.dsp.windowing import BLOCK_SECONDS, OVERLAP_FRAMES, model_windows
from avse.enhancement.face_threads import face_threads
from avse.enhancement.masking import (
    apply_mask,
    half_hop_ensemble,
    interpolate_gain,
    merge_masks,
    processing_rate,
)
from avse.enhancement.validation import check_samples
from avse.enhancement.visual_reliability import VisualReliability, reliable_mask
from avse.faces import mouth_roi
from avse.faces.mouth_crops import MouthCrops
from avse.io import reader
from avse.models.net import SpeechNet
from avse.progress import Report, Stage, timed_items


class FaceStream(NamedTuple):
    """Hold what is known of a face: mouth crops (1, S, S), one for each video frame; and for all frames (V,) a gain,
    applied to its mask, and whether no other mouth may explain the audio (None is 1, and always)."""

    crops: Iterator[np.ndarray]
    gain: np.ndarray | None = None
    alone: np.ndarray | None = None


FaceWindow = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
"""Mouth crops (V, H, W), gain (V,) and the flag (V,) of a `FaceStream`, in one window."""


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
    audio_net: SpeechNet | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Enhance the voice of each target speaker in one pass over audio and mouth crops.

    Yields a block (N, C) for each target at a time, float32 at the recording's own rate, as many samples in all as the
    recording has. Without targets it yields one block, enhanced from the audio alone; with ``together`` it yields one
    block with the voices of all targets. The video counts as far as it is reliable, which
    ``reliability`` records; ``audio_net`` as in `enhance_blocks`.
    """
    rate, num_frames = recording.audio_stream.sample_rate, stats.num_frames
    noted = VisualReliability() if reliability is None else reliability
    mouths = mouth_streams(crops, targets, num_frames) if crops and targets else [mouth_roi.blank_crops(num_frames)]
    gains, alone = ([getattr(target, name) for target in targets] or [None] for name in ("gain", "alone"))
    faces = list(map(FaceStream, mouths, gains, alone))
    outputs = [faces] if together else [[face] for face in faces]
    blocks = reader.read_audio(recording, BLOCK_SECONDS, rate, recording.audio_stream.num_channels)
    low_frequency = recording.audio_stream.low_frequency
    voices = enhance_blocks(net, blocks, rate, stats, outputs, strength, noted, low_frequency, audio_net)
    done = 0
    for step in timed_items(Stage.OVERLAP_ADD, voices):
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


def enhance_blocks(
    net: SpeechNet,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    stats: AudioStats,
    outputs: Sequence[Sequence[FaceStream]],
    strength: float = 1.0,
    reliability: VisualReliability | None = None,
    low_frequency: int | None = None,
    audio_net: SpeechNet | None = None,
) -> Iterator[tuple[np.ndarray, ...]]:
    """Enhance a stream of audio blocks (N, C); yield one block for each output at a time.

    Args:
        net: the network.
        blocks: the audio, at ``sample_rate``.
        sample_rate: in Hz.
        stats: length and level of the audio.
        outputs: the faces whose voices each output holds. With several faces, each bin gets the largest mask, so that
            nothing is louder than in the recording.
        strength: 1 applies the mask alone, 0 changes nothing. In between, the original is mixed in, so that nothing is
            attenuated by more than -20 log10(1 - strength) dB.
        reliability: if given, the video of each face counts as far as it is reliable.
        low_frequency: the channel that carries no speech, if there is one.
        audio_net: the network for windows without a visible mouth; None is ``net``.
    """
    rate, hop = processing_rate(sample_rate, net.config.hop), net.config.hop
    per_frame = rate // VIDEO_FPS
    faces = [face for members in outputs for face in members]

    def compute(both_grids: np.ndarray, shown: FaceWindow) -> Tensor:
        crops, level, judged = shown
        found = reliable_mask(net, audio_net or net, both_grids, crops, stats.rms, reliability, judged)
        return found if level is None else found * interpolate_gain(level, found.shape[-1])

    def apply(full: np.ndarray, mask: Tensor) -> np.ndarray:
        return apply_mask(full, 1 + strength * (mask - 1), per_frame, hop)

    def pieces() -> Iterator[list[np.ndarray]]:
        with face_threads(net, len(faces)) as in_parallel:
            both = _audio_windows(blocks, sample_rate, rate, stats.num_frames, low_frequency)
            for (mono, full), shown in zip(both, _all_face_windows(faces, stats.num_frames), strict=True):
                masks = iter(in_parallel(partial(compute, half_hop_ensemble(mono[:, 0], hop)), shown))
                merged = [merge_masks(list(itertools.islice(masks, len(members)))) for members in outputs]
                yield list(in_parallel(partial(apply, full), merged))

    def join(windows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        joined = overlap_add.crossfade(windows, OVERLAP_FRAMES * per_frame)
        return resampling.trim_to_length(resampling.resample(joined, rate, sample_rate), stats.num_samples)

    streams = itertools.tee(pieces(), len(outputs))
    return zip(*(join(map(itemgetter(number), part)) for number, part in enumerate(streams)), strict=True)


def _audio_windows(
    blocks: Iterable[np.ndarray], sample_rate: int, rate: int, num_frames: int, low_frequency: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cut the audio into windows: for the network, and at the processing rate."""
    for_net, for_mask = itertools.tee(blocks)
    at_16_khz = resampling.to_model_rate(for_net, sample_rate, low_frequency)
    mono = model_windows(at_16_khz, num_frames, SAMPLES_PER_FRAME)
    full = model_windows(resampling.resample(for_mask, sample_rate, rate), num_frames, rate // VIDEO_FPS)
    return zip(mono, full, strict=True)


def _all_face_windows(faces: Sequence[FaceStream], num_frames: int) -> Iterator[tuple[FaceWindow, ...]]:
    """Cut the streams of all faces into the windows that the network sees."""
    return zip(*(_face_windows(face, num_frames) for face in faces), strict=True)


def _face_windows(face: FaceStream, num_frames: int) -> Iterator[FaceWindow]:
    """Cut the stream of a face, its gain and its flag into the windows that the network sees."""
    levels, flags = (
        itertools.repeat(None) if values is None else model_windows(iter([values]), num_frames, 1)
        for values in (face.gain, face.alone)
    )
    return zip(model_windows(face.crops, num_frames, 1), levels, flags, strict=False)
