"""Prune a trained net: keep the most important channels of each layer, as a start for training.

The importance of a channel is the scale that its norm gives it (Liu et al., "Network slimming", ICCV 2017), times the
norm of the weights that read it (Li et al., "Pruning filters for efficient ConvNets", ICLR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from avse.errors import UsageError
from avse.models.audio_unet import AudioUNet, Bottleneck
from avse.models.blocks import TimeAttention
from avse.models.net import LipStream, SpeechNet

FUSIONS = ("none", "mmtm", "mmtm-global", "mmtm-audio")


def prune_channels(net: SpeechNet, audio_channels: Sequence[int], lip_width: int) -> SpeechNet:
    """Return a net with fewer channels, the most important ones of ``net``, to be trained further.

    SMIL's imputer and regulariser are left out: a run of stage smil makes them anew.

    Raises UsageError for a fusion other than MMTM or none, another number of stages, or sizes that are larger.
    """
    config = net.config
    if config.fusion not in FUSIONS:
        raise UsageError(f"A network with the fusion {config.fusion} cannot be pruned.", f"Use: {', '.join(FUSIONS)}.")
    if len(audio_channels) != len(config.audio_channels):
        raise UsageError(
            f"{len(audio_channels)} audio channels for {len(config.audio_channels)} stages.",
            "Use one number per stage.",
        )
    wide, narrower = (*config.audio_channels, config.lip_width), (*audio_channels, lip_width)
    if not all(1 <= new <= old for new, old in zip(narrower, wide, strict=True)):
        has = f"audio_channels {list(config.audio_channels)}, lip_width {config.lip_width}"
        raise UsageError(
            "The network would become larger, or lose all channels of a stage.", f"It has {has}; use smaller numbers."
        )
    sizes = {"audio_channels": tuple(audio_channels), "lip_width": lip_width, "imputer": "none", "regulariser": "none"}
    small = SpeechNet(replace(config, **sizes))  # type: ignore[arg-type]
    channels = _Channels(net.state_dict(), small.state_dict())
    stages = _audio(channels, net.audio)
    if net.lips is not None:
        _fusions(channels, stages, _lips(channels, net.lips))
    small.load_state_dict(channels.kept())
    return small


class _Channels:
    """Number the channels of a net, and record which channels lie along each axis of each weight.

    Layers whose outputs are added share numbers, so that a channel is kept or removed in all of them.
    """

    def __init__(self, big: dict[str, Tensor], small: dict[str, Tensor]) -> None:
        self._big, self._small = big, small
        self._groups: list[tuple[Tensor, int]] = []
        self._axes: dict[str, tuple[Tensor | None, ...]] = {}
        self._layers: dict[str, tuple[Tensor | None, Tensor | None]] = {}
        self._norms: dict[str, Tensor] = {}

    def has(self, weight: str) -> bool:
        """Tell whether the net has this weight."""
        return weight in self._big

    def group(self, weight: str, parts: int = 1) -> Tensor:
        """Return new numbers for the output channels of a weight, or of one of its equal parts (attention heads)."""
        first = sum(len(numbers) for numbers, _ in self._groups)
        numbers = torch.arange(first, first + len(self._big[weight]) // parts)
        self._groups.append((numbers, len(self._small[weight]) // parts))
        return numbers

    def layer(self, weight: str, outputs: Tensor | None, inputs: Tensor | None) -> None:
        """Register a convolution or a linear layer: the channels it writes and reads; None for an axis that stays."""
        self._layers[weight] = self._axes[weight] = outputs, inputs
        self._axes[weight.removesuffix("weight") + "bias"] = (outputs,)

    def norm(self, name: str, numbers: Tensor) -> None:
        """Register a batch norm or a layer norm of some channels."""
        self._axes |= {f"{name}.{part}": (numbers,) for part in ("weight", "bias", "running_mean", "running_var")}
        self._norms[name] = numbers

    def kept(self) -> dict[str, Tensor]:
        """Choose the most important channels of each group; return the weights of the smaller net."""
        scores = self._scores()
        chosen = torch.zeros(len(scores), dtype=torch.bool)
        for numbers, count in self._groups:
            chosen[numbers[scores[numbers].topk(count).indices]] = True
        return {name: self._part(name, chosen) for name in self._small}

    def _part(self, name: str, chosen: Tensor) -> Tensor:
        """Return one weight without the channels that were not chosen."""
        value = self._big[name]
        for axis, numbers in enumerate(self._axes.get(name, ())):
            if numbers is not None:
                value = value.index_select(axis, chosen[numbers].nonzero()[:, 0])
        return value

    def _scores(self) -> Tensor:
        """Return the importance of every channel."""
        normed, written, read = torch.zeros(3, sum(len(numbers) for numbers, _ in self._groups))
        has_norm = torch.zeros(len(normed), dtype=torch.bool)
        for name, own in self._norms.items():
            has_norm[own] = True
            normed.index_add_(0, own, self._big[f"{name}.weight"].abs() + self._big[f"{name}.bias"].relu())
        for name, ends in self._layers.items():
            for axis, (total, numbers) in enumerate(zip((written, read), ends, strict=True)):
                if numbers is not None:
                    total.index_add_(0, numbers, self._big[name].transpose(0, axis).flatten(1).norm(dim=1))
        return torch.where(has_norm, normed, written) * torch.where(read > 0, read, 1.0)


def _audio(channels: _Channels, net: AudioUNet) -> list[Tensor]:
    """Register the audio stream; return the numbers of the encoder's stages."""
    stages = [channels.group(f"audio.encoder.{index}.0.weight") for index in range(len(net.encoder))]
    lowest = channels.group("audio.decoder.0.norm.weight")
    for index, stage in enumerate(stages):
        channels.layer(f"audio.encoder.{index}.0.weight", stage, stages[index - 1] if index else None)
        channels.norm(f"audio.encoder.{index}.1", stage)
        outputs = stages[index - 1] if index else lowest
        channels.layer(f"audio.decoder.{index}.conv.weight", outputs.repeat(2), stage)
        channels.norm(f"audio.decoder.{index}.norm", outputs)
    channels.layer("audio.mask.weight", None, lowest)
    if net.turn is not None:
        channels.layer("audio.turn.weight", None, lowest)
    _bottleneck(channels, net.bottleneck, stages[-1])
    return stages


def _bottleneck(channels: _Channels, bottleneck: Bottleneck, deepest: Tensor) -> None:
    """Register the audio stream's bottleneck, with its attention."""
    name = "audio.bottleneck"
    wide = channels.group(f"{name}.gather.weight")
    every_bin = deepest.repeat_interleave(bottleneck.gather.in_channels // len(deepest))
    channels.layer(f"{name}.gather.weight", wide, every_bin)
    channels.layer(f"{name}.spread.weight", every_bin, wide)
    for part in (name, *(f"{name}.further.{index}" for index in range(len(bottleneck.further)))):
        _context(channels, f"{part}.context", wide, len(bottleneck.context.layers))
        if isinstance(bottleneck.recall, TimeAttention):
            _attention(channels, f"{part}.recall", wide, bottleneck.recall.attention.num_heads)


def _attention(channels: _Channels, name: str, wide: Tensor, num_heads: int) -> None:
    """Register attention over time; queries, keys and values stay within their head."""
    channels.norm(f"{name}.norm", wide)
    compared, values = (
        torch.cat([channels.group(f"{name}.attention.out_proj.weight", num_heads) for _ in range(num_heads)])
        for _ in range(2)
    )
    channels.layer(f"{name}.attention.in_proj_weight", torch.cat([compared, compared, values]), wide)
    channels.layer(f"{name}.attention.out_proj.weight", wide, values)


def _context(channels: _Channels, name: str, numbers: Tensor, num_layers: int) -> None:
    """Register dilated convolutions in time."""
    for index in range(num_layers):
        channels.layer(f"{name}.layers.{index}.0.weight", numbers, numbers)
        channels.norm(f"{name}.layers.{index}.1", numbers)


def _lips(channels: _Channels, net: LipStream) -> list[Tensor]:
    """Register the lip stream; return the numbers of ResNet-18's stages."""
    stages = [channels.group(f"lips.resnet.layer{index + 1}.0.conv2.weight") for index in range(4)]
    channels.layer("lips.resnet.conv1.weight", stages[0], None)
    channels.norm("lips.resnet.bn1", stages[0])
    for index, stage in enumerate(stages):
        before = stages[max(index - 1, 0)]
        for block, inputs in enumerate((before, stage)):
            name = f"lips.resnet.layer{index + 1}.{block}"
            inside = channels.group(f"{name}.conv1.weight")
            channels.layer(f"{name}.conv1.weight", inside, inputs)
            channels.norm(f"{name}.bn1", inside)
            channels.layer(f"{name}.conv2.weight", stage, inside)
            channels.norm(f"{name}.bn2", stage)
        if index:
            channels.layer(f"lips.resnet.layer{index + 1}.0.downsample.0.weight", stage, before)
            channels.norm(f"lips.resnet.layer{index + 1}.0.downsample.1", stage)
    _context(channels, "lips.context", stages[3], len(net.context.layers))
    channels.layer("lips.energies.weight", None, stages[3])
    return stages


def _fusions(channels: _Channels, audio: Sequence[Tensor], lips: Sequence[Tensor]) -> None:
    """Register MMTM, at the depths that have one."""
    pairs = [*zip(audio[-4:], lips, strict=True), (audio[-1], lips[-1])]
    for depth, (for_audio, for_lips) in enumerate(pairs):
        name = f"fusions.{depth}"
        if not channels.has(f"{name}.squeeze.weight"):
            continue
        joined = channels.group(f"{name}.squeeze.weight")
        channels.layer(f"{name}.squeeze.weight", joined, torch.cat([for_audio, for_lips]))
        channels.layer(f"{name}.excite.0.weight", for_audio, joined)
        if channels.has(f"{name}.excite.1.weight"):
            channels.layer(f"{name}.excite.1.weight", for_lips, joined)
