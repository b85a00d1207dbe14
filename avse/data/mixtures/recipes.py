"""Mixtures for evaluation, each determined by a tree of clips and a seed: one target, interfering talkers, noise.

Legend: `N` samples, all at 16 kHz.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avse.config import SAMPLE_RATE
from avse.data import corpus
from avse.dsp.levels import db_to_gain, rms
from avse.errors import InputError, UsageError
from avse.io import audio_files
from avse.io.urls import real_path

MAX_TRIES = 20
PEAK = 0.9
SILENCE = 1e-4
"""RMS below which audio counts as silent, so that its level cannot be set."""
NOISE_HIGHPASS_HZ = 80
"""Room noise is mostly below audible frequencies, and would use up the requested level."""

Clips = Mapping[str, Sequence[Path]]


@dataclass(frozen=True)
class MixtureConfig:
    """Hold the settings of mixtures. Levels are RMS relative to the target's over the whole mixture, in dB."""

    num_speakers: int = 2
    """Number of people in a mixture: the target and the interfering talkers."""
    level_db: tuple[float, float] = (0.0, 0.0)
    """Range of the level of each interfering talker."""
    noise_db: tuple[float, float] | None = None
    """Range of the level of the noise; None for no noise."""
    seconds: float | None = None
    """Length of a mixture: longer targets are cut at their end, shorter ones skipped. None keeps the length."""
    seed: int = 0
    """Random seed of the mixtures."""

    def __post_init__(self) -> None:
        if self.num_speakers < 1:
            raise UsageError(f"{self.num_speakers} speakers are too few for a mixture.", "Use --speakers 2 or 3.")
        if self.num_speakers == 1 and self.noise_db is None:
            raise UsageError("One speaker without noise is not a mixture.", "Use --speakers 2, or --noise DIR.")
        for name, levels in (("--level-db", self.level_db), ("--noise-db", self.noise_db)):
            if levels is not None and levels[0] > levels[1]:
                raise UsageError(f"{name} ranges from {levels[0]} to {levels[1]}.", "Put the lower end first.")
        if self.seconds is not None and self.seconds < 0.25:
            raise UsageError(f"{self.seconds} s is too short to be scored.", "Use --seconds 1 or more.")

    @property
    def num_samples(self) -> int | None:
        """Return the longest length of a mixture in samples, None for any."""
        return None if self.seconds is None else round(self.seconds * SAMPLE_RATE)


@dataclass(frozen=True)
class Part:
    """Hold a segment of a source file and its place in the mixture, in samples; the level of its role in dB."""

    role: str
    speaker: str
    file: Path
    offset: int
    start: int
    length: int
    level_db: float


@dataclass(frozen=True)
class Mixture:
    """Hold one mixture: the audio (N,) of each role at its level in the mixture, "target" first, and its parts."""

    roles: Mapping[str, np.ndarray]
    parts: Sequence[Part]
    passed_over: Mapping[Path, str] = field(default_factory=dict)

    @property
    def audio(self) -> np.ndarray:
        """Return the sum (N,)."""
        return np.stack(list(self.roles.values())).sum(0, dtype=np.float32)


def clips_by_speaker(tree: Path, output: Path | None = None) -> dict[str, list[Path]]:
    """Return the clips of a tree ``SPEAKER/**/CLIP``, or of the first of `corpus.TEST_ROOTS` in it, as VoxCeleb2 comes.

    Files in ``output`` are not clips.
    """
    speakers = {path: prepared.parent.name for path, prepared in corpus.sources(tree, roots=corpus.TEST_ROOTS)}
    found: dict[str, list[Path]] = {}
    for path in outside(output, tree, speakers) if output else speakers:
        found.setdefault(speakers[path], []).append(path)
    return found


def outside(output: Path, folder: Path, paths: Iterable[Path]) -> list[Path]:
    """Return the paths in a folder that do not lie in ``output``. UsageError if that is the folder itself."""
    written, root = real_path(output), real_path(folder)
    if written == root:
        raise UsageError(f"{output} is the input folder itself.", "Choose another folder for the mixtures.")
    if not written.is_relative_to(root):
        return list(paths)
    own = folder / written.relative_to(root)
    return [path for path in paths if not path.is_relative_to(own)]


def draw_speakers(config: MixtureConfig, clips: Clips, index: int) -> list[str]:
    """Draw the speakers of a mixture, the target first, all different."""
    rng = np.random.default_rng((config.seed, index, 0))
    return [str(name) for name in rng.choice(sorted(clips), config.num_speakers, replace=False)]


def item_name(config: MixtureConfig, clips: Clips, index: int) -> str:
    """Return the name of a mixture: its number and its speakers, such as 00007-id00012-id00345."""
    people = "-".join(draw_speakers(config, clips, index))
    return f"{index:05d}-{re.sub(r'[^A-Za-z0-9-]+', '_', people)}"


def make_mixture(config: MixtureConfig, clips: Clips, noises: Clips, index: int) -> Mixture:
    """Make the mixture that belongs to (seed, index). InputError if a speaker has no clip that can be used."""
    rng = np.random.default_rng((config.seed, index, 1))
    target, *others = draw_speakers(config, clips, index)
    source = _Source()
    whole, path = source.pick(clips[target], rng, config.seconds or 0.25, config.num_samples)
    length = config.num_samples or len(whole)
    roles, parts = {"target": whole[:length]}, [Part("target", target, path, 0, 0, length, 0.0)]
    loud = rms(whole[:length])
    for number, other in enumerate(others, 1):
        level_db = rng.uniform(*config.level_db)
        audio, own = source.stretch(f"talker{number}", other, clips[other], length, level_db, rng)
        roles[f"talker{number}"], parts = _at_level(audio, loud, level_db), parts + own
    if config.noise_db is not None:
        level_db = rng.uniform(*config.noise_db)
        kind = str(rng.choice(sorted(noises)))
        audio, own = source.stretch("noise", kind, noises[kind], length, level_db, rng)
        roles["noise"], parts = _at_level(_highpass(audio), loud, level_db), parts + own
    gain = min(1.0, PEAK / max(float(np.abs(audio).max()) for audio in (*roles.values(), sum(roles.values()))))
    return Mixture({role: gain * audio for role, audio in roles.items()}, parts, source.passed_over)


def make_muse_mixture(config: MixtureConfig, clips: Clips, index: int) -> Mixture:
    """Make a mixture by the recipe of MuSE: levels of whole files, cut to the shortest, divided by its peak."""
    rng = np.random.default_rng((config.seed, index, 1))
    source = _Source()
    drawn, parts = [], []
    for number, speaker in enumerate(draw_speakers(config, clips, index)):
        audio, path = source.pick(clips[speaker], rng, config.seconds or 0.25, config.num_samples)
        level_db = rng.uniform(*config.level_db) if number else 0.0
        drawn.append(audio)
        parts.append(Part(f"talker{number}" if number else "target", speaker, path, 0, 0, 0, level_db))
    mixed = muse_sum(drawn, [part.level_db for part in parts])[: config.num_samples]
    length = len(mixed)
    if min(rms(drawn[0][:length]), rms(mixed)) < SILENCE:
        message = f"{parts[0].file}, or its mixture, is silent for the first {length / SAMPLE_RATE:.2f} s."
        raise InputError(message, "Check these clips, or use --seconds with a length that contains speech.")
    parts = [Part(part.role, part.speaker, part.file, 0, 0, length, part.level_db) for part in parts]
    cut = {part.role: audio[:length] for part, audio in zip(parts, drawn, strict=True)}
    return Mixture(cut | {"mixture": mixed / np.abs(mixed).max()}, parts, source.passed_over)


def muse_sum(drawn: Sequence[np.ndarray], levels_db: Sequence[float]) -> np.ndarray:
    """Return target (N,) plus interferers scaled to their level relative to its power, cut to the shortest."""
    length = min(len(audio) for audio in drawn)
    loud = rms(drawn[0])
    scaled = [drawn[0], *(_at_level(audio, loud, db) for audio, db in zip(drawn[1:], levels_db[1:], strict=True))]
    return np.stack([audio[:length] for audio in scaled]).sum(0, dtype=np.float32)


class _Source:
    """Read clips, and skip those that are broken, silent or too short."""

    def __init__(self) -> None:
        self.passed_over: dict[Path, str] = {}

    def pick(
        self, clips: Sequence[Path], rng: np.random.Generator, min_seconds: float = 0.0, used: int | None = None
    ) -> tuple[np.ndarray, Path]:
        """Draw a clip; return its audio (N,) and path. It is not silent, nor are its first ``used`` samples."""
        problem = ""
        for _ in range(MAX_TRIES):
            path = clips[int(rng.integers(len(clips)))]
            try:
                audio = audio_files.read_audio_file(path)
            except InputError as error:
                self.passed_over[path] = problem = error.message
                continue
            if rms(audio) < SILENCE:
                self.passed_over[path] = problem = f"{path} is silent."
            elif len(audio) < round(min_seconds * SAMPLE_RATE):
                problem = f"{path} is shorter than {min_seconds} s."
            elif rms(audio[:used]) < SILENCE:
                self.passed_over[path] = problem = f"{path} is silent for its first {min_seconds} s."
            else:
                return audio, path
        raise InputError(
            f"No usable clip was found in {MAX_TRIES} tries. The last problem: {problem}", "Check these clips."
        )

    def stretch(
        self, role: str, speaker: str, clips: Sequence[Path], length: int, level_db: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[Part]]:
        """Draw audio (N,) from a clip that is long enough, at a random place, or from several clips in a row."""
        for _ in range(MAX_TRIES):
            audio, parts = self._join(role, speaker, clips, length, level_db, rng)
            if rms(audio) >= SILENCE:
                return audio, parts
        raise InputError(f"{speaker} was silent at {MAX_TRIES} random positions.", "Check these clips.")

    def _join(
        self, role: str, speaker: str, clips: Sequence[Path], length: int, level_db: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, list[Part]]:
        pieces: list[np.ndarray] = []
        parts: list[Part] = []
        start = 0
        while start < length:
            audio, path = self.pick(clips, rng)
            offset = int(rng.integers(max(len(audio) - (length - start), 0) + 1))
            pieces.append(audio[offset : offset + length - start])
            parts.append(Part(role, speaker, path, offset, start, len(pieces[-1]), level_db))
            start += len(pieces[-1])
        return np.concatenate(pieces), parts


def _at_level(audio: np.ndarray, loud: float, level_db: float) -> np.ndarray:
    return (audio * (loud * db_to_gain(level_db) / max(rms(audio), 1e-9))).astype(np.float32)


def _highpass(audio: np.ndarray) -> np.ndarray:
    from scipy.signal import butter, sosfilt

    highpass = butter(4, NOISE_HIGHPASS_HZ, "highpass", fs=SAMPLE_RATE, output="sos")
    return np.asarray(sosfilt(highpass, audio), np.float32)
