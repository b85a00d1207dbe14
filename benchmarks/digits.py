"""MNIST's pictures and spoken digits, paired by label, in the splits of SMIL's av-MNIST; for benchmarks/av_mnist.py.

Legend: `N` examples, `H W` pixels, or MFCCs and time steps.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from torch import Tensor

SIDE = 20
NUM_DIGITS = 10
PER_DIGIT = {"training": 105, "test": 45}
"""Examples of each digit: 1,050 and 450 in all, as in the paper."""
HALF = 5000
MARGIN = 10
"""Pictures left out on either side of the middle of t10k, where its two groups of writers meet."""

Pictures = tuple[np.ndarray, np.ndarray]
"""Pictures (N, 28, 28), 0 to 1, and labels (N,)."""
Take = tuple[str, int]
"""A speaker and the number of a recording: the digits of one take were recorded together."""


@dataclass(frozen=True)
class Digits:
    """Pictures (N, 1, 28, 28), MFCCs (N, 1, 20, 20) and labels (N,)."""

    pictures: Tensor
    sounds: Tensor
    labels: Tensor

    def select(self, chosen: Tensor) -> Digits:
        """Return the examples of these numbers."""
        return Digits(self.pictures[chosen], self.sounds[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Task:
    """All pictures of training with the numbers of those whose sound is there, test examples, and more test pictures.

    ``more`` holds every picture of the writers of the test; its sounds are empty.
    """

    training: Digits
    with_sound: Tensor
    test: Digits
    more: Digits


def load_mnist(folder: Path) -> tuple[Pictures, Pictures]:
    """Read pictures for training and for testing that share no writer.

    MNIST's own parts where both are in the folder; of t10k alone the first half and the second half: the first 5,000
    pictures are from NIST's special database 3, the last 5,000 from special database 1, which other people wrote.

    Raises:
        SystemExit: t10k's pictures or labels are not there.
    """
    own = _read_part(folder, "t10k")
    if own is None:
        raise SystemExit(f"{folder} lacks t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (.gz).")
    training = _read_part(folder, "train")
    if training is not None:
        return training, own
    first, second = slice(0, HALF - MARGIN), slice(HALF + MARGIN, None)
    return (own[0][first], own[1][first]), (own[0][second], own[1][second])


def _read_part(folder: Path, name: str) -> Pictures | None:
    found = [sorted(folder.glob(f"{name}-{kind}*")) for kind in ("images", "labels")]
    if not all(found):
        return None
    return read_idx(found[0][0]).astype(np.float32) / 255, read_idx(found[1][0]).astype(np.int64)


def read_idx(path: Path) -> np.ndarray:
    """Read an array of bytes in MNIST's own format, packed or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    num_axes = data[3]
    shape = np.frombuffer(data, ">i4", num_axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def load_sounds(folder: Path) -> dict[Take, np.ndarray]:
    """Read the takes of which every digit is there, as MFCCs (10, 20, 20); files are DIGIT_SPEAKER_NUMBER.flac."""
    takes: dict[Take, dict[int, Path]] = {}
    for path in sorted(folder.glob("?_*_*.*")):
        digit, speaker, number = path.stem.split("_")
        takes.setdefault((speaker, int(number)), {})[int(digit)] = path
    whole = {take: paths for take, paths in sorted(takes.items()) if len(paths) == NUM_DIGITS}
    return {take: np.stack([_read_mfcc(paths[digit]) for digit in range(NUM_DIGITS)]) for take, paths in whole.items()}


def _read_mfcc(path: Path) -> np.ndarray:
    return mfcc(*soundfile.read(path, dtype="float32"))


def mfcc(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Compute the first 20 MFCCs of a word at 20 steps that span all of it: (20, 20)."""
    hop = max(len(sound) // SIDE, 1)
    found = librosa.feature.mfcc(y=sound, sr=sample_rate, n_mfcc=SIDE, n_mels=40, n_fft=512, hop_length=hop)
    found = found[:, :SIDE]
    return np.pad(found, ((0, 0), (0, SIDE - found.shape[1])), "edge").astype(np.float32)


def make_task(
    pictures: tuple[Pictures, Pictures], sounds: Mapping[Take, np.ndarray], share_with_sound: float, seed: int
) -> Task:
    """Draw one split: as many examples of each digit, no picture, writer or take in both training and test.

    Args:
        pictures: for training and for testing.
        sounds: MFCCs of all digits by take.
        share_with_sound: share of the training takes whose sounds are there.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    takes = list(sounds)
    order = rng.permutation(len(takes))
    if len(order) < sum(PER_DIGIT.values()):
        raise SystemExit(f"There are {len(order)} takes of all ten digits; {sum(PER_DIGIT.values())} are needed.")
    num_training = PER_DIGIT["training"]
    parts = {"training": order[:num_training], "test": order[num_training:][: PER_DIGIT["test"]]}
    drawn = {}
    for (name, chosen), own in zip(parts.items(), pictures, strict=True):
        drawn[name] = _pair(own, [sounds[takes[index]] for index in chosen], rng)
    num_with_sound = (
        max(round(share_with_sound * num_training), 1) * NUM_DIGITS
    )  # of the first takes; takes come one after another
    with_sound = torch.arange(num_with_sound)
    level = drawn["training"].sounds[with_sound]
    mean, deviation = level.mean((0, 3), keepdim=True), level.std((0, 3), keepdim=True)
    scaled = {name: replace(part, sounds=(part.sounds - mean) / deviation) for name, part in drawn.items()}
    return Task(scaled["training"], with_sound, scaled["test"], _silent(pictures[1]))


def _pair(pictures: Pictures, takes: list[np.ndarray], rng: np.random.Generator) -> Digits:
    """Give each recording of each take a picture of its digit, every picture once."""
    images, labels = pictures
    columns = [rng.permutation(np.flatnonzero(labels == digit))[: len(takes)] for digit in range(NUM_DIGITS)]
    chosen = np.stack(columns, axis=1).ravel()  # take by take, digit by digit
    return Digits(
        torch.from_numpy(images[chosen])[:, None],
        torch.from_numpy(np.concatenate(takes))[:, None],
        torch.from_numpy(labels[chosen]),
    )


def _silent(pictures: Pictures) -> Digits:
    images, labels = pictures
    return Digits(torch.from_numpy(images.copy())[:, None], torch.zeros(0), torch.from_numpy(labels.copy()))
