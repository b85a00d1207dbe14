"""The speech net: a lip stream and an audio autoencoder, joined at several depths (MMTM, CVPR 2020; docs/design.md).

Legend: `B` batch, `C` channels, `F` frequency bins, `T` STFT frames, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avse.config import NUM_BANDS, SAMPLES_PER_FRAME, ModelConfig
from avse.models.audio_unet import AudioUNet
from avse.models.blocks import TemporalContext
from avse.models.feature_noise import FeatureNoise
from avse.models.fusion import SITES, build_fusion
from avse.models.fusion.cwc import NoFusion
from avse.models.imputer import FeatureRegulariser, Form, Imputer, Kind
from avse.models.inputs import Inputs
from avse.models.lip_encoder import LipResNet
from avse.progress import Stage, span


class Output(NamedTuple):
    """Hold the network's output: the enhanced spectrum (complex, B, F, T), its mask, and predictions from the lips.

    ``energies`` (B, bands, V) are the target's band energies, predicted from the lips; None without a lip stream.
    ``divergence`` is SMIL's KL term (a scalar); None without its parts.
    """

    spectrum: Tensor
    mask: Tensor
    energies: Tensor | None
    divergence: Tensor | None = None


class LipStream(nn.Module):
    """ResNet-18, temporal context, and a head that predicts the band energies of the speech from the lips."""

    def __init__(self, width: int, stem_frames: int) -> None:
        super().__init__()
        self.resnet = LipResNet(width, stem_frames)
        self.context = TemporalContext(8 * width, dilations=(1, 2, 4), dropout=0.2)
        self.energies = nn.Conv1d(8 * width, NUM_BANDS, 1)

    def forward(self, lips: Tensor) -> Tensor:
        """Predict from lips alone: (B, V, H, W) -> band energies (B, bands, V)."""
        x = self.resnet.stem(lips)
        for index in range(4):
            x = self.resnet.stage(index, x)
        energies: Tensor = self.energies(self.summary(x))
        return energies

    def summary(self, x: Tensor) -> Tensor:
        """Pool the last stage's map to one vector per frame, with temporal context: (B, C, V, H, W) -> (B, C, V)."""
        context: Tensor = self.context(x.mean((-2, -1)))
        return context


class SpeechNet(nn.Module):
    """Inputs -> Output. The two streams are fused after each of the last four encoder stages and before the bottleneck.

    Where no mouth is visible, an imputer, if the config has one, estimates the features of the lip stream's stem; the
    layers after it need not know.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        num_bins = SAMPLES_PER_FRAME // 2
        is_complex = config.mask == "complex"
        self.audio = AudioUNet(
            num_bins, config.audio_channels, is_complex, config.attention_heads, config.bottleneck_rounds
        )
        self.lips = None if config.fusion == "none" else LipStream(config.lip_width, config.stem_frames)
        self.fusions = nn.ModuleList(self._fusion(depth) for depth in range(5))
        self.imputer = self._imputer()
        self.regulariser, self.regulariser_bottleneck = self._regulariser(1), self._regulariser(2)
        self.lip_noise: FeatureNoise | None = None
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def predict_energies(self, lips: Tensor) -> Tensor:
        """Predict the target's band energies (B, bands, V) from the mouth crops (B, V, H, W) alone."""
        assert self.lips is not None
        energies: Tensor = self.lips(lips)
        return energies

    def forward(self, inputs: Inputs) -> Output:
        """Enhance a batch."""
        magnitude = inputs.spectrum[:, :-1].abs() ** self.config.compression
        x = self.audio.start(magnitude)
        video, divergences = self._start_video(x, inputs)
        x, video, skips = self._encode(x, video)
        before, energies = x, None
        if self.lips is not None:
            with span(Stage.LIPS):
                summary = self.lips.summary(video)[..., None, None]
            x, video = self.fusions[4](x, summary)
            energies = self.lips.energies(video[..., 0, 0])
        if self.regulariser is not None:
            x, divergence = self.regulariser(x, before)
            divergences.append(divergence)
        before, x = x, self.audio.bottleneck(x)
        if self.regulariser_bottleneck is not None:
            x, divergence = self.regulariser_bottleneck(x, before)
            divergences.append(divergence)
        mask = self.audio.decode(x, skips)
        mask = torch.cat([mask, mask[:, -1:]], dim=1)  # the bin at 8 kHz follows its neighbour
        return Output(
            inputs.spectrum * mask, mask, energies, sum(divergences[1:], divergences[0]) if divergences else None
        )

    def _start_video(self, x: Tensor, inputs: Inputs) -> tuple[Tensor, list[Tensor]]:
        """Return the lip stream's first maps, imputed where no mouth is visible, and the divergence of the imputer."""
        if self.lips is None:
            return inputs.lips, []
        with span(Stage.LIPS):
            video = self.lips.resnet.stem(inputs.lips)
        if self.imputer is None:
            return video, []
        cue = F.avg_pool1d(x[:, 0], SAMPLES_PER_FRAME // self.config.hop)  # (B, F, V)
        video, divergence = self.imputer(cue, video, inputs.seen)
        return video, [divergence]

    def _encode(self, x: Tensor, video: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Run the encoder stages; the streams are fused after each of the last four. Return also the skips."""
        skips = []
        first = len(self.audio.encoder) - 4
        for index in range(len(self.audio.encoder)):
            x = self.audio.encode(index, x)
            if self.lips is not None and index >= first:
                with span(Stage.LIPS):
                    video = self.lips.resnet.stage(index - first, video)
                    if self.lip_noise is not None:
                        video = self.lip_noise(video)
                x, video = self.fusions[index - first](x, video)
            skips.append(x)
        return x, video, skips

    def _fusion(self, depth: int) -> nn.Module:
        """Return the block after encoder stage ``depth`` of the last four, or (4) before the bottleneck."""
        sites = (4,) if SITES.get(self.config.fusion) == "bottleneck" else self.config.fusion_depths
        if depth not in sites:
            return NoFusion()
        stage = min(depth, 3)
        return build_fusion(self.config.fusion, self.config.audio_channels[stage - 4], self.config.lip_width * 2**stage)

    def _imputer(self) -> Imputer | None:
        """Build the imputer of stem features for frames whose mouth is not visible."""
        config = self.config
        if config.imputer == "none":
            return None
        shape = (config.lip_width, config.lip_side // 4, config.lip_side // 4)
        return Imputer(SAMPLES_PER_FRAME // 2, config.num_priors, shape, cast(Form, config.imputer))

    def _regulariser(self, place: int) -> FeatureRegulariser | None:
        """Build the regulariser of the audio features after the last fusion (place 1) or the bottleneck (2), if any."""
        channels = self.config.audio_channels[-1]
        kind = self.config.regulariser
        if kind == "none" or place > self.config.regulariser_places:
            return None
        return FeatureRegulariser(channels, channels, cast(Kind, kind))
