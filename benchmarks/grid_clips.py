"""GRID sentences as lips, optical flow, audio and three words, from prepared clips; for benchmarks/grid_words.py.

Legend: `N` sentences, `V` video frames, `T` steps, `H W` pixels, `F` mel bands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np
from PIL import Image
from skimage.registration import optical_flow_ilk

from avse.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from avse.data.prepared_clips import find_clips, load_clip
from avse.data.shards import file_of, names_of

SIDE = 32
MEL_BANDS = 40
MEL_PER_FRAME = 4
"""Number of mel frames per video frame; each is 10 ms."""
SPEECH_DB = -14.0
"""Level that the audio of three video frames exceeds within the sentence, relative to the loudest three."""
SENTENCE = re.compile(r"(?:^|[-_])[blps]([bgrw])[abiw]([a-z])([1-9z])[anps](?:_|$)")
"""Command, COLOUR, preposition, LETTER, DIGIT and adverb, by their first letters; zero is z."""
WORDS = {"colour": "bgrw", "letter": "abcdefghijklmnopqrstuvxyz", "digit": "123456789z"}


@dataclass(frozen=True)
class Sentence:
    """Hold lips (V, H, W), flow (V, 2, H, W) and log-mel audio (F, 4 V), all float32, and first and last speech frame.

    ``words`` are the indices of colour, letter and digit.
    """

    speaker: str
    name: str
    lips: np.ndarray
    flow: np.ndarray
    audio: np.ndarray
    span: tuple[float, float]
    words: tuple[int, int, int]


def read_words(name: str) -> tuple[int, int, int] | None:
    """Return the indices of colour, letter and digit in a file name; None if the name is not a GRID sentence."""
    found = SENTENCE.search(name)
    if found is None or found[2] not in WORDS["letter"]:
        return None
    colour, letter, digit = (kinds.index(each) for kinds, each in zip(WORDS.values(), found.groups(), strict=True))
    return colour, letter, digit


def load_sentences(folders: Sequence[Path]) -> list[Sentence]:
    """Read every GRID sentence in folders of prepared clips (`avse prepare`), sorted by speaker."""
    return [make_sentence(speaker, path, name, words) for speaker, path, name, words in _named(folders)]


def clip_files(folder: Path) -> set[Path]:
    """Return the files with the prepared clips of a folder: one for each clip, or shards."""
    return {file_of(path) for paths in find_clips(folder).values() for path in paths}


def _named(folders: Sequence[Path]) -> Iterator[tuple[str, Path, str, tuple[int, int, int]]]:
    for folder in folders:
        for speaker, paths in find_clips(folder).items():
            for path, file_name in zip(paths, names_of(paths), strict=True):
                name = file_name.removesuffix(".npz")
                words = read_words(name)
                if words is not None:
                    yield speaker, path, name, words


def make_sentence(speaker: str, path: Path, name: str, words: tuple[int, int, int]) -> Sentence:
    """Compute the features of one prepared clip."""
    clip = load_clip(path)
    assert clip.lips is not None
    lips = np.stack(
        [np.asarray(Image.fromarray(crop).resize((SIDE, SIDE), Image.Resampling.BOX)) for crop in clip.lips]
    )
    level = lips.astype(np.float32)
    level = (level - level.mean()) / max(float(level.std()), 1e-3)
    return Sentence(speaker, name, level, optical_flow(level), log_mel(clip.audio), find_speech(clip.audio), words)


def optical_flow(lips: np.ndarray) -> np.ndarray:
    """Compute the optical flow (V, 2, H, W) from the frame before, in pixels down and right; 0 in the first frame."""
    moved = [np.stack(optical_flow_ilk(one, other, radius=4)) for one, other in pairwise(lips)]
    return np.stack([np.zeros((2, *lips.shape[1:])), *moved]).clip(-3, 3).astype(np.float32)


def log_mel(audio: np.ndarray) -> np.ndarray:
    """Compute the log-mel spectrogram (F, 4 V); each band has mean 0, the whole has standard deviation 1."""
    hop = SAMPLES_PER_FRAME // MEL_PER_FRAME
    power = librosa.feature.melspectrogram(y=audio, sr=SAMPLE_RATE, n_fft=512, hop_length=hop, n_mels=MEL_BANDS)
    level = np.log(power[:, : len(audio) // hop] + 1e-6)
    level -= level.mean(1, keepdims=True)
    return (level / max(float(level.std()), 1e-3)).astype(np.float32)


def find_speech(audio: np.ndarray) -> tuple[float, float]:
    """Return the first video frame with speech, and the one after the last."""
    whole = audio[: len(audio) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME]
    energy = np.convolve((whole.reshape(-1, SAMPLES_PER_FRAME) ** 2).mean(1), np.ones(3), "same")
    loud = np.flatnonzero(energy > energy.max() * 10 ** (SPEECH_DB / 10))
    return float(loud[0]), float(loud[-1] + 1)
