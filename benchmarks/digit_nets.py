"""Networks that classify digits by pictures and sounds, sizes as in SMIL's code; for benchmarks/av_mnist.py.

Legend: `B` batch.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avse.models.imputer import FeatureRegulariser, Imputer

PICTURE_FEATURES = 160
SOUND_FEATURES = 320
HIDDEN = 64
NUM_PRIORS = 10

Fill = Literal["zeros", "autoencoder", "smil", "smil as released"]


class Outputs(NamedTuple):
    """Logits (B, 10), and the features that lead to them: of the sound, of both joined, and after one layer more."""

    logits: Tensor
    sound: Tensor
    joined: Tensor
    hidden: Tensor


class LeNet(nn.Module):
    """LeNet-5 with 5 and 10 channels: pictures (B, 1, 28, 28) -> logits (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 5, 5), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(5, 10, 5), nn.Dropout(0.5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Linear(PICTURE_FEATURES, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits (B, 10)."""
        logits: Tensor = self.head(self.features(pictures))
        return logits


class SoundNet(nn.Module):
    """Three small convolutions with batch norm: MFCCs (B, 1, 20, 20) -> logits (B, 10)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((1, 32), (32, 48), (48, 20)):
            layers += [nn.Conv2d(before, after, 2), nn.BatchNorm2d(after), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.MaxPool2d(2, stride=4), nn.Dropout(0.25), nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(SOUND_FEATURES, 160), nn.Dropout(0.25), nn.ReLU(),
            nn.Linear(160, 32), nn.Dropout(0.4), nn.ReLU(), nn.Linear(32, 10),
        )  # fmt: skip

    def forward(self, sounds: Tensor) -> Tensor:
        """Return logits (B, 10)."""
        logits: Tensor = self.head(self.features(sounds))
        return logits


class Bimodal(nn.Module):
    """Features of a picture and of a sound, joined by two linear layers; a missing sound is filled in.

    The fill is zeros, an autoencoder's guess, or SMIL's: `Imputer` from K-means priors, with `FeatureRegulariser` on
    the joined features and on the layer after them. As released, the imputer's weights come from one linear layer and
    sigma is 1; else they come from the library's small network, and sigma is predicted as in the paper. As released,
    the regularisers act only where the sound is missing.
    """

    def __init__(self, fill: Fill) -> None:
        super().__init__()
        self.picture = LeNet().features
        self.join, self.head = nn.Linear(PICTURE_FEATURES + SOUND_FEATURES, HIDDEN), nn.Linear(HIDDEN, 10)
        self.dropout = nn.Dropout(0.5)
        self.guess: nn.Module | None = None
        self.imputer: Imputer | None = None
        self.regulariser = nn.ModuleList()
        if fill == "autoencoder":
            self.guess = nn.Sequential(nn.Linear(PICTURE_FEATURES, 32), nn.ReLU(), nn.Linear(32, SOUND_FEATURES))
        if fill in ("smil", "smil as released"):
            hidden, deviation = (64, None) if fill == "smil" else (0, 1.0)
            self.imputer = Imputer(PICTURE_FEATURES, NUM_PRIORS, (SOUND_FEATURES,), "reference", hidden)
            joined = PICTURE_FEATURES + SOUND_FEATURES
            self.regulariser.append(FeatureRegulariser(joined, PICTURE_FEATURES, "add", deviation))
            self.regulariser.append(FeatureRegulariser(HIDDEN, joined, "add", deviation))

    def forward(self, pictures: Tensor, sounds: Tensor | None) -> Outputs:
        """Pictures (B, 1, 28, 28) and features of sounds (B, 320), or None where these are missing."""
        seen = self.picture(pictures)
        features = self._fill(seen) if sounds is None else sounds
        joined = torch.cat([seen, features], dim=1)
        if sounds is None:
            joined = self._regularise(0, joined, seen)
        hidden = F.relu(self.join(joined))
        if sounds is None:
            hidden = self._regularise(1, hidden, joined)
        return Outputs(self.head(self.dropout(hidden)), features, joined, hidden)

    def _fill(self, seen: Tensor) -> Tensor:
        if self.imputer is not None:
            empty = seen.new_zeros(len(seen), SOUND_FEATURES, 1)
            return self.imputer(seen[..., None], empty, seen.new_zeros(len(seen), 1))[0][..., 0]
        if self.guess is not None:
            guessed: Tensor = self.guess(seen)
            return guessed
        return seen.new_zeros(len(seen), SOUND_FEATURES)

    def _regularise(self, place: int, features: Tensor, context: Tensor) -> Tensor:
        if place >= len(self.regulariser):
            return features
        return self.regulariser[place](features[..., None], context[..., None])[0][..., 0]
