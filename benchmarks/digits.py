"""MNIST images and spoken digits, paired by label, in splits as for SMIL's av-MNIST; for benchmarks/av_mnist.py.

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
"""Number of examples of each digit; in total 1,050 and 450, as in the paper."""
HALF = 5000
MARGIN = 10
"""Number of images left out on either side of the middle of t10k, where its two groups of writers meet."""

Images = tuple[np.ndarray, np.ndarray]
"""Images (N, 28, 28), 0 to 1, and labels (N,)."""
Take = tuple[str, int]
"""Speaker and number of a recording: the digits of one take were recorded together."""


@dataclass(frozen=True)
class Digits:
    """Hold images (N, 1, 28, 28), audio as MFCCs (N, 1, 20, 20), and labels (N,)."""

    images: Tensor
    audio: Tensor
    labels: Tensor

    def select(self, chosen: Tensor) -> Digits:
        """Return the examples with these indices."""
        return Digits(self.images[chosen], self.audio[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Task:
    """Hold the training examples, the indices of those with audio, the test examples, and more test images.

    ``more`` holds every image by the test writers; its audio is empty.
    """

    training: Digits
    with_audio: Tensor
    test: Digits
    more: Digits


def load_mnist(folder: Path) -> tuple[Images, Images]:
    """Read training and test images that share no writer.

    If the folder has both parts of MNIST, these are used. If it has t10k only, its halves are used: the first 5,000
    images are from NIST's special database 3, the last 5,000 from special database 1, which other people wrote.

    Raises:
        SystemExit: images or labels of t10k are missing.
    """
    own = _read_part(folder, "t10k")
    if own is None:
        raise SystemExit(f"{folder} lacks t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte (.gz).")
    training = _read_part(folder, "train")
    if training is not None:
        return training, own
    first, second = slice(0, HALF - MARGIN), slice(HALF + MARGIN, None)
    return (own[0][first], own[1][first]), (own[0][second], own[1][second])


def _read_part(folder: Path, name: str) -> Images | None:
    found = [sorted(folder.glob(f"{name}-{kind}*")) for kind in ("images", "labels")]
    if not all(found):
        return None
    return read_idx(found[0][0]).astype(np.float32) / 255, read_idx(found[1][0]).astype(np.int64)


def read_idx(path: Path) -> np.ndarray:
    """Read an array of bytes in MNIST's IDX format, compressed with gzip or not."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    num_axes = data[3]
    shape = np.frombuffer(data, ">i4", num_axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def load_audio(folder: Path) -> dict[Take, np.ndarray]:
    """Read the takes that have all ten digits, as MFCCs (10, 20, 20); files are DIGIT_SPEAKER_NUMBER.flac."""
    takes: dict[Take, dict[int, Path]] = {}
    for path in sorted(folder.glob("?_*_*.*")):
        digit, speaker, number = path.stem.split("_")
        takes.setdefault((speaker, int(number)), {})[int(digit)] = path
    whole = {take: paths for take, paths in sorted(takes.items()) if len(paths) == NUM_DIGITS}
    return {take: np.stack([_read_mfcc(paths[digit]) for digit in range(NUM_DIGITS)]) for take, paths in whole.items()}


def _read_mfcc(path: Path) -> np.ndarray:
    return mfcc(*soundfile.read(path, dtype="float32"))


def mfcc(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Compute the first 20 MFCCs of a word at 20 steps over its whole length: (20, 20)."""
    hop = max(len(audio) // SIDE, 1)
    found = librosa.feature.mfcc(y=audio, sr=sample_rate, n_mfcc=SIDE, n_mels=40, n_fft=512, hop_length=hop)
    found = found[:, :SIDE]
    return np.pad(found, ((0, 0), (0, SIDE - found.shape[1])), "edge").astype(np.float32)


def make_task(
    images: tuple[Images, Images], audio: Mapping[Take, np.ndarray], share_with_audio: float, seed: int
) -> Task:
    """Draw one split: equally many examples of each digit; no image, writer or take is in both training and test.

    Args:
        images: for training and for testing.
        audio: MFCCs of all digits by take.
        share_with_audio: share of the training takes that have audio.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    takes = list(audio)
    order = rng.permutation(len(takes))
    if len(order) < sum(PER_DIGIT.values()):
        raise SystemExit(f"There are {len(order)} takes of all ten digits; {sum(PER_DIGIT.values())} are needed.")
    num_training = PER_DIGIT["training"]
    parts = {"training": order[:num_training], "test": order[num_training:][: PER_DIGIT["test"]]}
    drawn = {}
    for (name, chosen), own in zip(parts.items(), images, strict=True):
        drawn[name] = _pair(own, [audio[takes[index]] for index in chosen], rng)
    num_with_audio = (
        max(round(share_with_audio * num_training), 1) * NUM_DIGITS
    )  # of the first takes; takes come one after another
    with_audio = torch.arange(num_with_audio)
    level = drawn["training"].audio[with_audio]
    mean, deviation = level.mean((0, 3), keepdim=True), level.std((0, 3), keepdim=True)
    scaled = {name: replace(part, audio=(part.audio - mean) / deviation) for name, part in drawn.items()}
    return Task(scaled["training"], with_audio, scaled["test"], _images_only(images[1]))


def _pair(images: Images, takes: list[np.ndarray], rng: np.random.Generator) -> Digits:
    """Pair each recording of each take with an image of its digit; every image is used once."""
    images, labels = images
    columns = [rng.permutation(np.flatnonzero(labels == digit))[: len(takes)] for digit in range(NUM_DIGITS)]
    chosen = np.stack(columns, axis=1).ravel()  # take by take, digit by digit
    return Digits(
        torch.from_numpy(images[chosen])[:, None],
        torch.from_numpy(np.concatenate(takes))[:, None],
        torch.from_numpy(labels[chosen]),
    )


def _images_only(images: Images) -> Digits:
    images, labels = images
    return Digits(torch.from_numpy(images.copy())[:, None], torch.zeros(0), torch.from_numpy(labels.copy()))
