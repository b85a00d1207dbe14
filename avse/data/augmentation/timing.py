"""Cut and join clips of talkers, change their speed, make them pause or take turns.

Legend: `N` samples, `V` video frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from avse.config import SAMPLES_PER_FRAME
from avse.data.clip_cache import ClipCache
from avse.data.prepared_clips import Clip
from avse.faces.mouth_roi import CROP_SIZE

CLIPS = ClipCache()


def random_segment(
    clips: Sequence[Path],
    num_frames: int,
    rng: np.random.Generator,
    with_lips: bool = True,
    varied_probability: float = 0.0,
) -> Clip:
    """Return a random segment of ``num_frames`` from one speaker's clips, joined where one is too short.

    Where a clip has another voice, it is taken with ``varied_probability``.
    """
    parts: list[Clip] = []
    missing = num_frames
    while missing > 0:
        clip = CLIPS.load(clips[int(rng.integers(len(clips)))])
        length = len(clip.seen)
        first = int(rng.integers(length - missing + 1)) if length > missing else 0
        part = slice(first, first + missing)
        voice = _draw_voice(clip, varied_probability, rng)
        audio = voice[part.start * SAMPLES_PER_FRAME : part.stop * SAMPLES_PER_FRAME]
        parts.append(Clip(audio, clip.lips[part] if clip.lips is not None and with_lips else None, clip.seen[part]))
        missing -= len(parts[-1].seen)
    audio, seen = (np.concatenate([getattr(part, name) for part in parts]) for name in ("audio", "seen"))
    return Clip(audio, _join_lips(parts), seen)


def _draw_voice(clip: Clip, varied_probability: float, rng: np.random.Generator) -> np.ndarray:
    """Return the voice of a clip, or its other one."""
    if clip.varied is None or varied_probability == 0 or rng.random() >= varied_probability:
        return clip.audio
    return clip.varied


def change_speed(clip: Clip, num_frames: int) -> Clip:
    """Resample a clip to ``num_frames`` frames: its pitch changes, and neighbouring frames are blended."""
    length = len(clip.seen)
    if length == num_frames:
        return clip
    audio = soxr.resample(clip.audio, length, num_frames, "HQ")
    before, after, share = _neighbours(length, num_frames)
    lips = None if clip.lips is None else _blended(clip.lips, before, after, share)
    return Clip(audio, lips, clip.seen[before] & clip.seen[after])


def take_turns(clips: Sequence[Clip], rng: np.random.Generator, listening: float = 0.0) -> list[Clip]:
    """Let two talkers take turns, overlapping by at most half a second; ``listening`` as in `with_pause`."""
    num_frames = len(clips[0].seen)
    change, overlap = int(rng.uniform(0.25, 0.75) * num_frames), int(rng.integers(0, 7))
    pauses = [(0, change - overlap), (change + overlap, num_frames)]
    rng.shuffle(pauses)
    return [with_pause(clip, *pause, rng, listening) for clip, pause in zip(clips, pauses, strict=True)]


def with_pause(clip: Clip, first: int, last: int, rng: np.random.Generator, listening: float = 0.0) -> Clip:
    """Silence a clip from frame ``first`` to before ``last``; its mouth is at rest or, at times, moves slowly."""
    pause = np.zeros(len(clip.seen), bool)
    pause[max(first, 0) : max(last, 0)] = True
    switched = np.pad(np.repeat(~pause, SAMPLES_PER_FRAME), 80, "edge")
    gain = np.convolve(switched, np.ones(161) / 161, "valid").astype(np.float32)
    if clip.lips is None:
        return Clip(clip.audio * gain, None, clip.seen)
    silent_lips = _listening if listening and rng.random() < listening else _at_rest
    return Clip(clip.audio * gain, silent_lips(clip, pause, rng), clip.seen)


def draw_offset(limits: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw the AV offset in frames, positive: video late; each further frame is 0.65 times as likely."""
    frames = np.arange(limits[0], limits[1] + 1)
    weights = np.where(frames == 0, 0.0, 0.65 ** np.abs(frames))
    return int(rng.choice(frames, p=weights / weights.sum()))


def delay_video(lips: np.ndarray, seen: np.ndarray, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Delay lips (V, 88, 88) and their visibility (V,) by ``num_frames``; frames without data are not visible."""
    source = np.arange(len(seen)) - num_frames
    nearest = source.clip(0, len(seen) - 1)
    return lips[nearest], seen[nearest] & (nearest == source)


def _listening(clip: Clip, pause: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return lips (V, 88, 88) that move slowly in a pause (V,), as a listener's: a segment of the clip, slowed down.

    They are at rest if the pause is too short for motion, or if the mouth is not visible throughout.
    """
    assert clip.lips is not None
    length = round(pause.sum() * rng.uniform(0.1, 0.4))
    first = int(rng.integers(len(pause) - length + 1))
    stretch = slice(first, first + length)
    if length < 2 or not clip.seen[stretch].all():
        return _at_rest(clip, pause, rng)
    lips = clip.lips.copy()
    lips[pause] = _blended(clip.lips[stretch], *_neighbours(length, int(pause.sum())))
    lips[~clip.seen] = 0
    return lips


def _at_rest(clip: Clip, pause: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return lips (V, 88, 88) at rest in a pause (V,): the clip's quietest frame, swaying slightly."""
    assert clip.lips is not None
    loudness = np.where(clip.seen, np.square(clip.audio.reshape(len(pause), -1)).mean(1), np.inf)
    rest = clip.lips[int(np.argmin(loudness))].astype(np.int16)
    sway = np.clip(np.rint(np.cumsum(rng.normal(0.0, 0.25, (len(pause), 2)), axis=0)), -3, 3).astype(int)
    lips = clip.lips.copy()
    for index in np.flatnonzero(pause & clip.seen):
        grain = rng.integers(-2, 3, rest.shape)
        lips[index] = np.clip(np.roll(rest, tuple(sway[index]), (0, 1)) + grain, 1, 255)
    return lips


def _blended(lips: np.ndarray, before: np.ndarray, after: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate lips (V, 88, 88) between the two frames that `_neighbours` gives for each."""
    share = share[:, None, None]
    return np.rint(lips[before] * (1 - share) + lips[after] * share).astype(np.uint8)


def _neighbours(length: int, num_frames: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each of ``num_frames`` the two of ``length`` frames around it, and the second one's weight."""
    places = ((np.arange(num_frames) + 0.5) * length / num_frames - 0.5).clip(0, length - 1)
    before = places.astype(int)
    return before, np.minimum(before + 1, length - 1), (places - before).astype(np.float32)


def _join_lips(parts: Sequence[Clip]) -> np.ndarray | None:
    """Join the lips of all parts, black where one has none; None where none has any."""
    if all(part.lips is None for part in parts):
        return None
    sizes = [(len(part.seen), CROP_SIZE, CROP_SIZE) for part in parts]
    return np.concatenate(
        [np.zeros(size, np.uint8) if part.lips is None else part.lips for part, size in zip(parts, sizes, strict=True)]
    )
