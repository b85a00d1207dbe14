"""The network on a recording, as a stream: windows of sound and mouths in, masks out, laid on its own sound.

Legend: `C` channels, `F` frequency bins, `T` STFT frames, `N` samples, `V` video frames.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import torch
from torch import Tensor

from avse import features, lips, media, overlap, stream
from avse.audio import istft, stft
from avse.config import SAMPLES_PER_FRAME, VIDEO_FPS
from avse.models.net import SpeechNet
from avse.progress import Report
from avse.records import Inputs
from avse.tracks import Track

WINDOW_FRAMES = 200
OVERLAP_FRAMES = 25
BLOCK_SECONDS = 4.0
LEAST_POWER, CANCELLED = 1e-6, 1e-4
"""Channels of -60 dBFS and more of which less than -40 dB is left in their mean cancel each other out."""


@dataclass(frozen=True)
class Loudness:
    """What a first look at the sound tells: its length in samples at its own rate and in video frames, its RMS as the
    net hears it, whether its channels cancel each other out there, and its largest sample, 1 at full scale."""

    num_samples: int
    num_frames: int
    rms: float
    cancels: bool = False
    peak: float = 0.0


def measure(blocks: Iterable[np.ndarray], sample_rate: int) -> Loudness:
    """Go through a sound (N, C) once; its level is that of what the net will hear of it."""
    num_samples, num_heard, energy, apart, together, peak = 0, 0, 0.0, 0.0, 0.0, 0.0

    def counted() -> Iterator[np.ndarray]:
        nonlocal num_samples, apart, together, peak
        for block in blocks:
            speech = stream.speech_channels(block)
            num_samples += len(block)
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
            apart += float(np.square(speech, dtype=np.float64).mean(1).sum())
            together += float(np.square(speech.mean(1), dtype=np.float64).sum())
            yield block

    for block in stream.heard(counted(), sample_rate):
        num_heard += len(block)
        energy += float(np.square(block, dtype=np.float64).sum())
    num_frames = -(-num_samples * VIDEO_FPS // sample_rate)
    cancels = apart > LEAST_POWER * num_samples and together < CANCELLED * apart
    return Loudness(num_samples, num_frames, math.sqrt(energy / max(num_heard, 1)), cancels, peak)


@dataclass(frozen=True)
class Followed:
    """Whom one follows: a face, a gain (V,) to lay over its mask, and by how many frames the picture is late.

    ``lag_frames`` and ``agreement``, how well lips and sound go together, are None where that was not looked for.
    ``mouths``, where they are being decoded already, are those of `avse.lips.crops_of`.
    """

    track: Track
    gain: np.ndarray | None = None
    lag_frames: int | None = None
    agreement: float | None = None
    mouths: Iterator[np.ndarray] | None = None


def separate(
    net: SpeechNet,
    tape: media.Media,
    loudness: Loudness,
    followed: Followed | None,
    report: Report,
    strength: float = 1.0,
) -> Iterator[np.ndarray]:
    """Enhanced sound, float32 blocks (N, C) at the recording's own rate, as many samples in all as it has."""
    for (block,) in separate_each(net, tape, loudness, [followed] if followed else [], report, strength):
        yield block


def separate_each(
    net: SpeechNet,
    tape: media.Media,
    loudness: Loudness,
    followed: Sequence[Followed],
    report: Report,
    strength: float = 1.0,
) -> Iterator[tuple[np.ndarray, ...]]:
    """As `separate` for several faces, in one pass over sound and picture: a block of each, step by step.

    Without any face, one answer from the sound alone.
    """
    assert tape.sound is not None
    rate = tape.sound.sample_rate
    mouths = mouths_of(tape, followed, loudness.num_frames) if followed else [lips.no_crops(loudness.num_frames)]
    gains = [face.gain for face in followed] or [None]
    blocks = itertools.tee(media.sound_blocks(tape, BLOCK_SECONDS, rate, tape.sound.num_channels), len(mouths))
    answers = (
        separate_blocks(net, sound, rate, loudness, crops, strength, gain)
        for sound, crops, gain in zip(blocks, mouths, gains, strict=True)
    )
    done = 0
    for step in zip(*answers, strict=True):
        yield step
        done += len(step[0])
        report("enhancing", done, loudness.num_samples)


def mouths_of(tape: media.Media, followed: Sequence[Followed], num_frames: int) -> list[Iterator[np.ndarray]]:
    """For each face a stream of mouths (1, 88, 88), one a frame, in time with the sound; one pass over the picture."""
    lag = followed[0].lag_frames or 0
    unseen = (np.zeros((1, len(followed), lips.CROP, lips.CROP), np.uint8) for _ in range(-lag))
    seen = followed[0].mouths or lips.crops_of(tape, [face.track for face in followed], num_frames)
    streams = itertools.tee(itertools.chain(unseen, itertools.islice(seen, max(lag, 0), None)), len(followed))
    return [map(itemgetter((slice(None), number)), part) for number, part in enumerate(streams)]


def separate_blocks(
    net: SpeechNet,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    loudness: Loudness,
    mouths: Iterator[np.ndarray],
    strength: float = 1.0,
    gain: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Enhance a stream of sound (N, C) with one mouth (1, 88, 88) for each video frame.

    ``gain`` (V,) is laid over the mask, one value for each video frame.

    ``strength`` mixes the sound as it was with the sound under the mask: 1 is the mask alone, 0 changes nothing, and s
    between them leaves the surroundings 20 log10(1 - s) dB below where they were, whatever the mask says.
    """
    rate, hop = working_rate(sample_rate, net.config.hop), net.config.hop
    per_frame, num_frames = rate // VIDEO_FPS, loudness.num_frames
    for_net, for_mask = itertools.tee(blocks)
    heard = windows(stream.heard(for_net, sample_rate), num_frames, SAMPLES_PER_FRAME)
    stage = windows(stream.resampled(for_mask, sample_rate, rate), num_frames, per_frame)
    gains = windows(iter([np.ones(num_frames, np.float32) if gain is None else gain]), num_frames, 1)

    def mask(mono: np.ndarray, crops: np.ndarray, level: np.ndarray) -> Tensor:
        found = compute_mask(net, on_two_grids(mono[:, 0], hop), crops, loudness.rms)
        return 1 + strength * (found * over_time(level, found.shape[-1]) - 1)

    pieces = (
        apply_mask(full, mask(mono, crops, level), per_frame, hop)
        for mono, full, crops, level in zip(heard, stage, windows(mouths, num_frames, 1), gains, strict=True)
    )
    joined = overlap.crossfade(pieces, OVERLAP_FRAMES * per_frame)
    return stream.exactly(stream.resampled(joined, rate, sample_rate), loudness.num_samples)


def over_time(values: np.ndarray, num_frames: int) -> Tensor:
    """One value for each video frame (V,) as a smooth line over STFT frames (T,)."""
    places = (np.arange(num_frames) + 0.5) * len(values) / num_frames - 0.5
    return torch.from_numpy(np.interp(places, np.arange(len(values)), values).astype(np.float32))


def windows(blocks: Iterator[np.ndarray], num_frames: int, rows_per_frame: int) -> Iterator[np.ndarray]:
    """Cut a stream that has so many rows for each video frame into the windows that the net sees."""
    step = WINDOW_FRAMES - OVERLAP_FRAMES
    return overlap.windows(blocks, num_frames * rows_per_frame, WINDOW_FRAMES * rows_per_frame, step * rows_per_frame)


def on_two_grids(sound: np.ndarray, hop: int) -> np.ndarray:
    """Sound (N, ...) as it is, and half a hop late, without its end: (2, N, ...).

    The net errs differently on each, and the mean of both answers is better than either (docs/training.md, step 13).
    """
    late = np.zeros_like(sound)
    late[hop // 2 :] = sound[: -(hop // 2)]
    return np.stack([sound, late])


@torch.inference_mode()
def compute_mask(net: SpeechNet, heard: np.ndarray, crops: np.ndarray, rms: float) -> Tensor:
    """The net's masks (B, F, T) for what `inputs_of` takes."""
    return net(inputs_of(net, heard, crops, rms)).mask.cpu()


def inputs_of(net: SpeechNet, heard: np.ndarray, crops: np.ndarray, rms: float) -> Inputs:
    """What the net is given for sounds (B, N) at 16 kHz under the same mouths (V, 88, 88); ``rms`` is the level of the
    whole recording."""
    device = next(net.parameters()).device
    pictures, seen = (
        torch.from_numpy(values.copy()).to(device).expand(len(heard), *values.shape)
        for values in (crops, lips.seen(crops))
    )
    waveform, level = torch.from_numpy(heard.copy()).to(device), torch.tensor([rms], device=device)
    return features.prepare(waveform, pictures, seen, level, net.config)


@torch.inference_mode()
def apply_mask(stage: np.ndarray, masks: Tensor, per_frame: int, hop: int) -> np.ndarray:
    """Sound (N, C) at its own rate under masks (2, F, T) made at 16 kHz on two grids: their bins have the same width.

    Above 8 kHz the gain is the mean gain of the octave's last quarter, 7 to 8 kHz (ours).
    """
    own_hop = per_frame * hop // SAMPLES_PER_FRAME
    both = torch.from_numpy(on_two_grids(stage, own_hop)).transpose(1, 2)
    spectrum = stft(both, per_frame, own_hop)  # (2, C, F', T)
    missing = spectrum.shape[-2] - masks.shape[-2]
    if missing > 0:
        above = masks[:, -41:].abs().mean(1, keepdim=True).expand(-1, missing, -1)
        masks = torch.cat([masks, above.to(masks)], dim=1)
    answer, late = istft(spectrum * masks[:, None, : spectrum.shape[-2]], per_frame, own_hop)  # (C, N)
    half = own_hop // 2
    answer[:, :-half] = (answer[:, :-half] + late[:, half:]) / 2
    return answer.numpy().T


def working_rate(sample_rate: int, hop: int) -> int:
    """The recording's own rate, or 44.1 kHz where video frames and STFT hops do not fall on its samples."""
    fits = sample_rate % VIDEO_FPS == 0 and (sample_rate // VIDEO_FPS * hop) % SAMPLES_PER_FRAME == 0
    return sample_rate if fits else 44100
