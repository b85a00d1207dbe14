"""Mixtures made on the fly, each from nothing but a seed: a talker one sees, other talkers, noise.

Legend: `N` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from avse.config import SAMPLES_PER_FRAME
from avse.data.cache import Clip, load_clip
from avse.errors import UsageError
from avse.lips import CROP

Talkers = Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class MixConfig:
    """What training mixtures are made of. Levels are RMS relative to the target's, in dB."""

    num_frames: int = 28
    """Length of an example in video frames (25 per second)."""
    num_talkers: tuple[float, ...] = (0.2, 0.45, 0.25, 0.1)
    """Probabilities of 0, 1, 2, ... interfering talkers."""
    talker_db: tuple[float, float] = (-18.0, 5.0)
    """Range of the level of each interfering talker."""
    noise_probability: float = 0.4
    """How often there is noise besides interfering talkers; without any talker there is always noise."""
    noise_db: tuple[float, float] = (-20.0, 3.0)
    """Range of the level of the noise."""
    gain_db: tuple[float, float] = (-12.0, 6.0)
    """Range of the gain of the whole mixture."""
    unseen_probability: float = 0.15
    """How often the picture is missing for the whole example."""
    max_speaker_clips: int = 120
    """A speaker counts as having at most this many clips, so that none dominates."""

    def __post_init__(self) -> None:
        if not np.isclose(sum(self.num_talkers), 1) or min(self.num_talkers) < 0:
            raise UsageError(f"num_talkers {list(self.num_talkers)} are no probabilities.", "Let them add up to 1.")
        for name in ("talker_db", "noise_db", "gain_db"):
            low, high = getattr(self, name)
            if low > high:
                raise UsageError(f"{name} goes from {low} to {high}.", "Give the lower end first.")


@dataclass(frozen=True)
class Example:
    """One training example: mixture and target (N,), lips uint8 (V, 88, 88) and seen (V,) of the target."""

    mixture: np.ndarray
    target: np.ndarray
    lips: np.ndarray
    seen: np.ndarray


class Mixer:
    """Draws examples: talkers that one sees, voices and noise to lay over them. Nobody interferes with themselves."""

    def __init__(self, seen: Talkers, voices: Talkers, noises: Talkers, config: MixConfig) -> None:
        if not seen:
            raise UsageError("There are no talkers to train on.", "Give at least one prepared folder of talking faces.")
        if len({*seen, *voices}) < 2 and any(config.num_talkers[1:]):
            raise UsageError(
                f"There is nobody to talk over {next(iter(seen))}.",
                "Give more speakers, or voices without picture, or set num_talkers to [1.0]: noise alone.",
            )
        self.seen, self.voices, self.noises, self.config = seen, voices, noises, config
        counts = np.array([min(len(clips), config.max_speaker_clips) for clips in seen.values()], float)
        self._weights = counts / counts.sum()

    def example(self, seed: int, index: int) -> Example:
        """The example that belongs to (seed, index)."""
        rng = np.random.default_rng((seed, index))
        config = self.config
        speaker = list(self.seen)[rng.choice(len(self.seen), p=self._weights)]
        clip = segment(self.seen[speaker], config.num_frames, rng)
        target = scale_to(clip.sound, 0.0)
        num_talkers = int(rng.choice(len(config.num_talkers), p=config.num_talkers))
        others = [self._voice(speaker, rng) for _ in range(num_talkers)]
        mixture = target + sum((scale_to(other, rng.uniform(*config.talker_db)) for other in others), np.float32(0))
        if num_talkers == 0 or rng.random() < config.noise_probability:
            mixture = mixture + scale_to(self._noise(len(target), rng), rng.uniform(*config.noise_db))
        gain = np.float32(0.1 * 10 ** (rng.uniform(*config.gain_db) / 20))
        hidden = clip.lips is None or rng.random() < config.unseen_probability
        crops = np.zeros((config.num_frames, CROP, CROP), np.uint8) if hidden else clip.lips
        assert crops is not None
        return Example(mixture * gain, target * gain, crops, clip.seen & (not hidden))

    def _voice(self, but: str, rng: np.random.Generator) -> np.ndarray:
        """Someone else's voice, half the time from the recordings without picture where there are any."""
        heard_first = bool(self.voices) and rng.random() < 0.5
        pools = (self.voices, self.seen) if heard_first else (self.seen, self.voices)
        others = next(found for pool in pools if (found := [clips for name, clips in pool.items() if name != but]))
        return segment(others[int(rng.integers(len(others)))], self.config.num_frames, rng, with_lips=False).sound

    def _noise(self, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Recorded noise where there is any, else, and one time in four, noise of a random colour."""
        if not self.noises or rng.random() < 0.25:
            return coloured_noise(num_samples, rng)
        kinds = list(self.noises)
        return segment(self.noises[kinds[rng.integers(len(kinds))]], self.config.num_frames, rng, with_lips=False).sound


def segment(clips: Sequence[Path], num_frames: int, rng: np.random.Generator, with_lips: bool = True) -> Clip:
    """A random stretch of ``num_frames`` out of one speaker's clips, joined where one is too short."""
    parts: list[Clip] = []
    missing = num_frames
    while missing > 0:
        clip = _load(clips[int(rng.integers(len(clips)))])
        length = len(clip.seen)
        first = int(rng.integers(length - missing + 1)) if length > missing else 0
        part = slice(first, first + missing)
        sound = clip.sound[part.start * SAMPLES_PER_FRAME : part.stop * SAMPLES_PER_FRAME]
        parts.append(Clip(sound, clip.lips[part] if clip.lips is not None and with_lips else None, clip.seen[part]))
        missing -= len(parts[-1].seen)
    sound, seen = (np.concatenate([getattr(part, name) for part in parts]) for name in ("sound", "seen"))
    return Clip(sound, _join_lips(parts), seen)


def _join_lips(parts: Sequence[Clip]) -> np.ndarray | None:
    """Lips of all parts, black where one has none; None where none has any."""
    if all(part.lips is None for part in parts):
        return None
    sizes = [(len(part.seen), CROP, CROP) for part in parts]
    return np.concatenate(
        [np.zeros(size, np.uint8) if part.lips is None else part.lips for part, size in zip(parts, sizes, strict=True)]
    )


def scale_to(sound: np.ndarray, level_db: float) -> np.ndarray:
    """Sound brought to an RMS of ``level_db`` (0 dB is 1); silence stays silence."""
    rms = max(float(np.sqrt(np.mean(np.square(sound)))), 1e-4)
    return (sound * (10 ** (level_db / 20) / rms)).astype(np.float32)


def coloured_noise(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose spectrum falls by 0 to 9 dB an octave."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    slope = rng.uniform(0.0, 1.5)
    spectrum *= np.maximum(np.arange(len(spectrum)), 4.0) ** -slope
    return np.fft.irfft(spectrum, num_samples).astype(np.float32)


@lru_cache(maxsize=16384)
def _load(path: Path) -> Clip:
    """Clips stay in memory once read: about 9 kB for every video frame."""
    return load_clip(path)
