"""Pictures of digits and spoken digits, paired by what they say; for benchmarks/av_mnist.py.

Legend: `N` examples, `H W` pixels, or mel bands and time of a spectrogram.
"""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from torch import Tensor

SIDE = 20


@dataclass(frozen=True)
class Digits:
    """Pictures (N, H, W), log-mel spectrograms (N, 20, 20) and labels (N,)."""

    pictures: Tensor
    sounds: Tensor
    labels: Tensor


def load_pictures(mnist: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, H, W), 0 to 1, and labels (N,): scikit-learn's, or those of MNIST's training files in a folder."""
    if mnist is None:
        from sklearn.datasets import load_digits

        found = load_digits()
        return found.images / 16, found.target
    images, labels = (read_idx(next(mnist.glob(f"train-{kind}*"))) for kind in ("images", "labels"))
    return images / 255, labels


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes in MNIST's own format."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    num_axes = data[3]
    shape = np.frombuffer(data, ">i4", num_axes, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * num_axes).reshape(shape)


def load_sounds(folder: Path) -> dict[int, list[np.ndarray]]:
    """Spectrograms of every digit, in the order of their numbers, the speakers taking turns."""
    files = sorted(folder.glob("?_*_*.flac"), key=lambda path: int(path.stem.split("_")[2]))
    sounds: dict[int, list[np.ndarray]] = {digit: [] for digit in range(10)}
    for path in files:
        sounds[int(path.name[0])].append(spectrogram(*soundfile.read(path, dtype="float32")))
    return sounds


def spectrogram(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Log-mel spectrogram (20, 20) of a whole word, mean 0 and deviation 1; its time is stretched to 20 steps."""
    hop = max(len(sound) // SIDE, 1)
    power = librosa.feature.melspectrogram(y=sound, sr=sample_rate, n_fft=512, hop_length=hop, n_mels=SIDE)
    levels = np.log(power[:, :SIDE] + 1e-6)
    levels = np.pad(levels, ((0, 0), (0, SIDE - levels.shape[1])), "edge")
    return ((levels - levels.mean()) / (levels.std() + 1e-6)).astype(np.float32)


def pair(
    pictures: np.ndarray,
    labels: np.ndarray,
    sounds: dict[int, list[np.ndarray]],
    counts: tuple[int, int, int],
    seed: int,
) -> list[Digits]:
    """Training, validation and test examples that share no picture and no recording; the same speakers are in all.

    Of each digit's recordings they have 60, 10 and 30 %; pictures of a digit draw from them with replacement.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    if sum(counts) > len(order):
        raise SystemExit(f"There are {len(order)} pictures, fewer than {' + '.join(map(str, counts))}.")
    shuffled = {digit: rng.permutation(len(own)) for digit, own in sounds.items()}
    made = []
    first = 0
    for count, (begin, end) in zip(counts, ((0.0, 0.6), (0.6, 0.7), (0.7, 1.0)), strict=True):
        chosen = order[first : first + count]
        first += count
        drawn = []
        for digit in labels[chosen]:
            own = shuffled[digit]
            drawn.append(sounds[digit][int(rng.choice(own[round(begin * len(own)) : round(end * len(own))]))])
        parts = (pictures[chosen].astype(np.float32), np.stack(drawn), labels[chosen].astype(np.int64))
        made.append(Digits(*(torch.from_numpy(part) for part in parts)))
    return made
