"""Networks that classify digits from images and audio, with the sizes in SMIL's code; for benchmarks/av_mnist.py.

Legend: `B` batch.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avse.models.imputer import FeatureRegulariser, Imputer

IMAGE_FEATURES = 160
AUDIO_FEATURES = 320
HIDDEN = 64
NUM_PRIORS = 10

Fill = Literal["zeros", "autoencoder", "smil", "smil as released"]


class Outputs(NamedTuple):
    """Hold logits (B, 10) and the features before them: of the audio, of both joined, and of the hidden layer."""

    logits: Tensor
    audio: Tensor
    joined: Tensor
    hidden: Tensor


class LeNet(nn.Module):
    """Classify images (B, 1, 28, 28) with LeNet-5 of 5 and 10 channels: logits (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 5, 5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(5, 10, 5), nn.Dropout(0.5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(IMAGE_FEATURES, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 10)."""
        logits: Tensor = self.head(self.features(images))
        return logits


class AudioNet(nn.Module):
    """Classify MFCCs (B, 1, 20, 20) with three small convolutions and batch norm: logits (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((1, 32), (32, 48), (48, 20)):
            layers += [nn.Conv2d(before, after, 2), nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.MaxPool2d(2, stride=4), nn.Dropout(0.25), nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(AUDIO_FEATURES, 160), nn.Dropout(0.25), nn.ReLU(),
            nn.Linear(160, 32), nn.Dropout(0.4), nn.ReLU(), nn.Linear(32, 10),
        )  # fmt: skip

    def forward(self, audio: Tensor) -> Tensor:
        """Return logits (B, 10)."""
        logits: Tensor = self.head(self.features(audio))
        return logits


class Bimodal(nn.Module):
    """Join the features of image and audio by two linear layers; missing audio features are imputed.

    Missing features are set to zero, predicted by an autoencoder, or predicted as in SMIL: `Imputer` from K-means
    priors, with `FeatureRegulariser` on the joined features and on the hidden layer. With "smil as released", the
    imputer's weights come from one linear layer and sigma is 1. With "smil", they come from the library's small
    network and sigma is predicted as in the paper. In both, the regularisers act only where audio is missing.
    """

    def __init__(self, fill: Fill) -> None:
        super().__init__()
        self.image = LeNet().features
        self.join, self.head = nn.Linear(IMAGE_FEATURES + AUDIO_FEATURES, HIDDEN), nn.Linear(HIDDEN, 10)
        self.dropout = nn.Dropout(0.5)
        self.guess: nn.Module | None = None
        self.imputer: Imputer | None = None
        self.regulariser = nn.ModuleList()
        if fill == "autoencoder":
            self.guess = nn.Sequential(nn.Linear(IMAGE_FEATURES, 32), nn.ReLU(), nn.Linear(32, AUDIO_FEATURES))
        if fill in ("smil", "smil as released"):
            hidden, deviation = (64, None) if fill == "smil" else (0, 1.0)
            self.imputer = Imputer(IMAGE_FEATURES, NUM_PRIORS, (AUDIO_FEATURES,), "reference", hidden)
            joined = IMAGE_FEATURES + AUDIO_FEATURES
            self.regulariser.append(FeatureRegulariser(joined, IMAGE_FEATURES, "add", deviation))
            self.regulariser.append(FeatureRegulariser(HIDDEN, joined, "add", deviation))

    def forward(self, images: Tensor, audio: Tensor | None) -> Outputs:
        """Return the outputs for images (B, 1, 28, 28) and audio features (B, 320), or None if audio is missing."""
        seen = self.image(images)
        features = self._fill(seen) if audio is None else audio
        joined = torch.cat([seen, features], dim=1)
        if audio is None:
            joined = self._regularise(0, joined, seen)
        hidden = F.relu(self.join(joined))
        if audio is None:
            hidden = self._regularise(1, hidden, joined)
        return Outputs(self.head(self.dropout(hidden)), features, joined, hidden)

    def _fill(self, seen: Tensor) -> Tensor:
        if self.imputer is not None:
            empty = seen.new_zeros(len(seen), AUDIO_FEATURES, 1)
            return self.imputer(seen[..., None], empty, seen.new_zeros(len(seen), 1))[0][..., 0]
        if self.guess is not None:
            guessed: Tensor = self.guess(seen)
            return guessed
        return seen.new_zeros(len(seen), AUDIO_FEATURES)

    def _regularise(self, place: int, features: Tensor, context: Tensor) -> Tensor:
        if place >= len(self.regulariser):
            return features
        return self.regulariser[place](features[..., None], context[..., None])[0][..., 0]
