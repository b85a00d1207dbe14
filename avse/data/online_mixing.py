"""Mixtures made on the fly, each from nothing but a seed: a talker one sees, other talkers, noise.

Legend: `N` samples, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avse.data.augmentation.acoustics import limit_bandwidth, random_eq, reverberate
from avse.data.augmentation.timing import change_speed, random_segment, take_turns, with_pause
from avse.data.prepared_clips import Clip
from avse.dsp.levels import scale_to
from avse.errors import UsageError
from avse.faces.mouth_roi import CROP_SIZE

Talkers = Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class MixConfig:
    """What training mixtures are made of. Levels are RMS relative to the target's, in dB."""

    num_frames: int = 28
    """Length of an example in video frames (25 per second)."""
    num_talkers: tuple[float, ...] = (0.2, 0.45, 0.25, 0.1)
    """Probabilities of 0, 1, 2, ... interfering talkers."""
    stranger_probability: float = 0.5
    """How often such a talker is a voice without picture, where there are any: those may be told by how they were
    recorded; another of the talking faces only by voice and lips."""
    turnabout: bool = False
    """Every second example is the mixture before it once more, the target being another talker who is seen: nothing but
    the lips tells whom to follow."""
    speed: tuple[float, float] = (1.0, 1.0)
    """Range of how fast each voice is played, its picture with it: other voices and other mouths of the same people."""
    talker_db: tuple[float, float] = (-18.0, 5.0)
    """Range of the level of each interfering talker."""
    faint_probability: float = 0.0
    """How often all interfering talkers are fainter than that; such a mixture is never turned about: the other talker
    would be lost in it."""
    faint_db: tuple[float, float] = (-20.0, -13.0)
    """Range of the level of each of those."""
    noise_probability: float = 0.4
    """How often there is noise besides interfering talkers; without any talker there is always noise."""
    noise_db: tuple[float, float] = (-20.0, 3.0)
    """Range of the level of the noise."""
    gain_db: tuple[float, float] = (-12.0, 6.0)
    """Range of the gain of the whole mixture."""
    unseen_probability: float = 0.15
    """How often the picture is missing for the whole example."""
    stray_probability: float = 0.0
    """How often the lips are somebody else's where sound alone tells who is meant (nobody else talks, or faintly): a
    picture that is not to be believed."""
    gap_probability: float = 0.0
    """How often a picture that is there is lost for a stretch."""
    gap_frames: tuple[int, int] = (2, 20)
    """Length of such a stretch, shortest and longest."""
    voice_probability: float = 0.0
    """How often the target is a voice without picture, where there are any."""
    still_probability: float = 0.0
    """How often the face that one sees is silent, its mouth still, for a stretch."""
    still_frames: tuple[int, int] = (8, 24)
    """Length of such a stretch, shortest and longest."""
    turns_probability: float = 0.0
    """How often the target and another talker take turns, instead of talking at once."""
    listening_probability: float = 0.0
    """How often a face that is silent for a stretch or for the other's turn moves its mouth as a listener does, instead
    of keeping it still."""
    babble_probability: float = 0.0
    """How often the noise is babble: four to six voices at once."""
    room_probability: float = 0.0
    """How often each voice stands in a room of its own; the target keeps its reverberation."""
    colour_db: float = 0.0
    """Each voice passes a microphone of its own, whose gains lie within this range, up and down; 0: none."""
    narrow_probability: float = 0.0
    """How often mixture and target lack what lies above 3.4 to 7 kHz."""
    max_speaker_clips: int = 120
    """A speaker counts as having at most this many clips, so that none dominates."""

    def __post_init__(self) -> None:
        if not np.isclose(sum(self.num_talkers), 1) or min(self.num_talkers) < 0:
            raise UsageError(f"num_talkers {list(self.num_talkers)} are no probabilities.", "Let them add up to 1.")
        for name in ("speed", "talker_db", "faint_db", "noise_db", "gain_db", "gap_frames", "still_frames"):
            low, high = getattr(self, name)
            if low > high:
                raise UsageError(f"{name} goes from {low} to {high}.", "Give the lower end first.")
        if self.speed[0] < 0.5 or self.speed[1] > 2:
            raise UsageError(f"speed goes from {self.speed[0]} to {self.speed[1]}.", "Stay within 0.5 and 2.")


@dataclass(frozen=True)
class Example:
    """One training example: mixture and target (N,), lips uint8 (V, 88, 88) and seen (V,) of the target."""

    mixture: np.ndarray
    target: np.ndarray
    lips: np.ndarray
    seen: np.ndarray


class Talking(NamedTuple):
    """Who talks: the first one's name, the clip of each, and what is heard of each (N,), at its level."""

    speaker: str
    clips: list[Clip]
    voices: list[np.ndarray]
    faint: bool


class Mixer:
    """Draws examples: talkers that one sees, voices and noise to lay over them. Nobody interferes with themselves."""

    def __init__(self, seen: Talkers, voices: Talkers, noises: Talkers, config: MixConfig) -> None:
        if not seen:
            raise UsageError("There are no talkers to train on.", "Give at least one prepared folder of talking faces.")
        self._has_others = len({*seen, *voices}) > 1
        if not self._has_others and any(config.num_talkers[1:]):
            raise UsageError(
                f"There is nobody to talk over {next(iter(seen))}.",
                "Give more speakers, or voices without picture, or set num_talkers to [1.0]: noise alone.",
            )
        self.seen, self.voices, self.noises, self.config = seen, voices, noises, config
        counts = np.array([min(len(clips), config.max_speaker_clips) for clips in seen.values()], float)
        self._weights = counts / counts.sum()

    def example(self, seed: int, index: int) -> Example:
        """The example that belongs to (seed, index)."""
        if self.config.turnabout and index % 2:
            rng = np.random.default_rng((seed, index - 1))
            talking = self._talking(rng)
            if len(talking.clips) > 1 and talking.clips[1].lips is not None and not talking.faint:
                return self._mixed(talking, 1, rng)
        rng = np.random.default_rng((seed, index))
        return self._mixed(self._talking(rng), 0, rng)

    def _talking(self, rng: np.random.Generator) -> Talking:
        """Somebody, and who talks over them."""
        config = self.config
        speaker, clip = self._target(rng)
        clips = [self._recorded(clip, rng)]
        for _ in range(int(rng.choice(len(config.num_talkers), p=config.num_talkers))):
            clips.append(self._recorded(self._voice(speaker, rng), rng))
        if config.turns_probability and len(clips) > 1 and rng.random() < config.turns_probability:
            clips[:2] = take_turns(clips[:2], rng, config.listening_probability)
        faint = bool(config.faint_probability) and rng.random() < config.faint_probability
        levels = [0.0, *(rng.uniform(*(config.faint_db if faint else config.talker_db)) for _ in clips[1:])]
        voices = [scale_to(clip.sound, level) for clip, level in zip(clips, levels, strict=True)]
        return Talking(speaker, clips, voices, faint)

    def _mixed(self, talking: Talking, index: int, rng: np.random.Generator) -> Example:
        """All who talk, with noise, one of them being seen and the target."""
        config = self.config
        speaker, voices = talking.speaker, talking.voices
        mixture, target = np.stack(voices).sum(0), voices[index]
        if len(voices) == 1 or rng.random() < config.noise_probability:
            mixture = mixture + scale_to(self._noise(speaker, len(mixture), rng), rng.uniform(*config.noise_db))
        if rng.random() < config.narrow_probability:
            highest_hz = rng.uniform(3400.0, 7000.0)
            mixture, target = limit_bandwidth(mixture, highest_hz), limit_bandwidth(target, highest_hz)
        gain = np.float32(0.1 * 10 ** (rng.uniform(*config.gain_db) / 20))
        return Example(mixture * gain, target * gain, *self._picture(self._shown(talking, index, rng), rng))

    def _target(self, rng: np.random.Generator) -> tuple[str, Clip]:
        """Somebody one sees, or somebody one only hears."""
        config = self.config
        if self.voices and rng.random() < config.voice_probability:
            speaker = list(self.voices)[rng.integers(len(self.voices))]
            return speaker, self._stretch(self.voices[speaker], rng)
        speaker = list(self.seen)[rng.choice(len(self.seen), p=self._weights)]
        clip = self._stretch(self.seen[speaker], rng)
        if clip.lips is not None and rng.random() < config.still_probability:
            length = int(rng.integers(config.still_frames[0], config.still_frames[1] + 1))
            first = int(rng.integers(1 - length // 2, len(clip.seen) - length // 2))
            clip = with_pause(clip, first, first + length, rng, config.listening_probability)
        return speaker, clip

    def _shown(self, talking: Talking, index: int, rng: np.random.Generator) -> Clip:
        """Whose picture is given: the target's, or somebody else's."""
        clip, chance = talking.clips[index], self.config.stray_probability
        possible = clip.lips is not None and len(self.seen) > 1 and (len(talking.voices) == 1 or talking.faint)
        if not chance or not possible or rng.random() >= chance:
            return clip
        return self._someone(talking.speaker, (self.seen,), rng)

    def _picture(self, clip: Clip, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Lips (V, 88, 88) and whether they are seen (V,): all, all but a stretch, or none."""
        config = self.config
        if clip.lips is None or rng.random() < config.unseen_probability:
            return np.zeros((config.num_frames, CROP_SIZE, CROP_SIZE), np.uint8), np.zeros(config.num_frames, bool)
        kept = clip.seen.copy()
        if rng.random() < config.gap_probability:
            length = int(rng.integers(config.gap_frames[0], config.gap_frames[1] + 1))
            first = int(rng.integers(1 - length, config.num_frames))
            kept[max(first, 0) : first + length] = False
        return clip.lips * kept[:, None, None], kept

    def _recorded(self, clip: Clip, rng: np.random.Generator) -> Clip:
        """The clip with its voice in a room, by a microphone."""
        voice = clip.sound
        if rng.random() < self.config.room_probability:
            voice = reverberate(voice, rng)
        if self.config.colour_db:
            voice = random_eq(voice, self.config.colour_db, rng)
        return Clip(voice, clip.lips, clip.seen)

    def _voice(self, but: str, rng: np.random.Generator) -> Clip:
        """Someone else."""
        heard_first = bool(self.voices) and rng.random() < self.config.stranger_probability
        pools = (self.voices, self.seen) if heard_first else (self.seen, self.voices)
        return self._someone(but, pools, rng, self.config.turnabout)

    def _someone(self, but: str, pools: Sequence[Talkers], rng: np.random.Generator, with_lips: bool = True) -> Clip:
        """A stretch of someone else, out of the first pool that holds anyone."""
        others = next(found for pool in pools if (found := [clips for name, clips in pool.items() if name != but]))
        return self._stretch(others[int(rng.integers(len(others)))], rng, with_lips)

    def _stretch(self, clips: Sequence[Path], rng: np.random.Generator, with_lips: bool = True) -> Clip:
        """A random stretch of somebody, as fast as it may be."""
        (slowest, fastest), num_frames = self.config.speed, self.config.num_frames
        speed = rng.uniform(slowest, fastest) if slowest < fastest else slowest
        return change_speed(random_segment(clips, max(1, round(num_frames * speed)), rng, with_lips), num_frames)

    def _noise(self, but: str, num_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Babble, recorded noise where there is any, else, and one time in four, noise of a random colour."""
        if rng.random() < self.config.babble_probability and self._has_others:
            babble = [self._voice(but, rng).sound for _ in range(rng.integers(4, 7))]
            return np.stack([scale_to(voice, rng.uniform(-6.0, 0.0)) for voice in babble]).sum(0, dtype=np.float32)
        if not self.noises or rng.random() < 0.25:
            return coloured_noise(num_samples, rng)
        kinds = list(self.noises)
        return random_segment(
            self.noises[kinds[rng.integers(len(kinds))]], self.config.num_frames, rng, with_lips=False
        ).sound


def coloured_noise(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise whose spectrum falls by 0 to 9 dB an octave."""
    spectrum = np.fft.rfft(rng.standard_normal(num_samples))
    slope = rng.uniform(0.0, 1.5)
    spectrum *= np.maximum(np.arange(len(spectrum)), 4.0) ** -slope
    return np.fft.irfft(spectrum, num_samples).astype(np.float32)
