"""AsymFusion's encoder: one ResNet for several modalities, with norms of their own and an exchange where it is wanted.

Wang, Sun, Lu, Yao; ACM MM 2020; arXiv:2108.05009. `asym` holds the block and its exchange.

Legend: `B` batch, `C` channels, `H W` rows and columns of a map, `M` modalities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avse.models.fusion.asym import (
    AsymFusionBlock,
    PrivateBatchNorm,
    PrivateShortcut,
    begin_exchange,
    check_exchange,
    check_maps,
    end_exchange,
)

NUM_STAGES = 4


class AsymBasicBlock(nn.Module):
    """ResNet's basic block with shared convolutions and private norms, and AsymFusion's exchange if wanted.

        h_m = ReLU(BN_m(conv1 x_m));  s_m = shift(h_m);  h = shuffle(h)
        h_m = BN_m(conv2 h_m);  h_0 += s_1, h_1 += s_0;  h = shuffle(h)
        y_m = ReLU(h_m + x_m)

    The released basic block has no exchange; its place here is that of the bottleneck's (ours). The stride is conv1's.

    Args and Raises: as of `AsymFusionBlock`; `width` does not exist.
    """

    def __init__(
        self,
        channels: int,
        *,
        in_channels: int | None = None,
        stride: int = 1,
        exchange: bool = True,
        num_modalities: int = 2,
    ) -> None:
        super().__init__()
        in_channels = channels if in_channels is None else in_channels
        check_exchange(exchange, channels, stride, num_modalities)
        self.exchange = exchange
        self.conv1 = nn.Conv2d(in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm1 = PrivateBatchNorm(channels, num_modalities)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.norm2 = PrivateBatchNorm(channels, num_modalities)
        self.shortcut = PrivateShortcut(in_channels, channels, stride, num_modalities)

    def forward(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Return one map per `(B, C, H, W)` map that comes in, of their shape but for `in_channels` and the stride.

        Raises:
            ValueError: another number of maps than modalities, or unequal shapes.
        """
        check_maps(features, len(self.norm1))
        inner, shifted = begin_exchange([torch.relu(h) for h in self.norm1(*map(self.conv1, features))], self.exchange)
        inner = end_exchange(list(self.norm2(*map(self.conv2, inner))), shifted)
        return tuple(torch.relu(y + x) for y, x in zip(inner, self.shortcut(*features), strict=True))


class SharedEncoder(nn.Module):
    """A ResNet that M modalities share, each with batch norms of its own.

    Parameters carry torchvision's names (`conv1`, `layer1.0.conv2`, ...), except that every `bn` is a `norm` with one
    member per modality and `downsample` is `shortcut`.

    Args:
        in_channels: channels of every modality, such as 3.
        layers: blocks of each of the four stages: (2, 2, 2, 2) is ResNet-18, (3, 4, 23, 3) ResNet-101.
        block: "bottleneck" or "basic".
        width: channels of the stem, 64 in ResNet; the stages have 1, 2, 4 and 8 times as many, four times more after a
            bottleneck.
        num_modalities: M.
        exchange: one truth value per block of each stage. Default: the last block of every stage, as in the paper, of
            two modalities; a stage's first block has no default exchange.

    Raises:
        ValueError: other than four stages, a stage without blocks, an unknown block, an exchange in a strided block or
            between other than two modalities, or values of exchange that do not go with the blocks.
    """

    def __init__(
        self,
        in_channels: int = 3,
        layers: Sequence[int] = (3, 4, 6, 3),
        block: Literal["bottleneck", "basic"] = "bottleneck",
        width: int = 64,
        num_modalities: int = 2,
        exchange: Sequence[Sequence[bool]] | None = None,
    ) -> None:
        super().__init__()
        if len(layers) != NUM_STAGES or min(layers) < 1 or block not in ("bottleneck", "basic"):
            raise ValueError(f"cannot build stages of {list(layers)} {block!r} blocks")
        if exchange is None:
            exchange = [[num_modalities == 2 and 0 < index == count - 1 for index in range(count)] for count in layers]
        if [len(flags) for flags in exchange] != list(layers):
            raise ValueError(f"exchange needs one value per block of {list(layers)}, not {exchange}")
        self.num_modalities = num_modalities
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.norm1 = PrivateBatchNorm(width, num_modalities)
        expansion = 4 if block == "bottleneck" else 1
        before = width
        for stage, flags in enumerate(exchange):
            channels = width * 2**stage
            blocks = nn.ModuleList()
            for index, exchanges in enumerate(flags):
                stride = 2 if stage and not index else 1
                blocks.append(_make_block(block, before, channels, stride, exchanges, num_modalities))
                before = channels * expansion
            setattr(self, f"layer{stage + 1}", blocks)

    def forward(self, *features: Tensor) -> list[tuple[Tensor, ...]]:
        """Encode one `(B, C, H, W)` map per modality: four stages, each with one map per modality.

        Stage 1 has a quarter of the rows and columns, each further one half of those before.

        Raises:
            ValueError: another number of maps than modalities, or unequal shapes.
        """
        maps = self.stem(*features)
        stages = []
        for stage in range(NUM_STAGES):
            maps = self.stage(stage, *maps)
            stages.append(maps)
        return stages

    def stem(self, *features: Tensor) -> tuple[Tensor, ...]:
        """Encode one `(B, C, H, W)` map per modality up to the first stage: a quarter of the rows and columns.

        Raises:
            ValueError: another number of maps than modalities, or unequal shapes.
        """
        check_maps(features, self.num_modalities)
        stem = [torch.relu(x) for x in self.norm1(*map(self.conv1, features))]
        return tuple(F.max_pool2d(x, 3, stride=2, padding=1) for x in stem)

    def stage(self, index: int, *maps: Tensor) -> tuple[Tensor, ...]:
        """Encode the maps that the stem or the stage before returned by stage ``index``, 0 to 3.

        Together with `stem` it gives what a call gives, with room for other blocks between the stages.
        """
        for block in self.get_submodule(f"layer{index + 1}").children():
            maps = block(*maps)
        return maps

    def load_torchvision(self, state: Mapping[str, Tensor]) -> None:
        """Load a torchvision ResNet of the same layers: shared convolutions, and its norms for every modality.

        Raises:
            RuntimeError: torch's, where names or shapes differ.
        """
        own: dict[str, Tensor] = {}
        for name, value in state.items():
            if name.startswith("fc."):
                continue
            parts = name.replace("downsample.0", "shortcut.conv").replace("downsample.1", "shortcut.norm")
            if ".norm." in parts or "bn" in parts:
                head, _, last = parts.replace("bn", "norm").rpartition(".")
                own |= {f"{head}.{m}.{last}": value for m in range(self.num_modalities)}
            else:
                own[parts] = value
        self.load_state_dict(own)


class Ensemble(nn.Module):
    """A weighted mean of the predictions that each modality's direction makes: softmax(alpha), alpha learned.

    As in the released code, the weights learn from the mean and the predictions do not: they have losses of their own.
    """

    def __init__(self, num_modalities: int = 2) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(num_modalities))

    def forward(self, *predictions: Tensor) -> Tensor:
        """Return the mean of one prediction per modality, all of one shape, in that shape.

        Raises:
            ValueError: another number of predictions than built for, or unequal shapes.
        """
        check_maps(predictions, len(self.alpha))
        weights = torch.softmax(self.alpha, dim=0)
        return torch.stack([w * x.detach() for w, x in zip(weights, predictions, strict=True)]).sum(0)


def _make_block(
    block: str, in_channels: int, channels: int, stride: int, exchange: bool, num_modalities: int
) -> nn.Module:
    if block == "basic":
        return AsymBasicBlock(
            channels, in_channels=in_channels, stride=stride, exchange=exchange, num_modalities=num_modalities
        )
    return AsymFusionBlock(
        4 * channels,
        channels,
        in_channels=in_channels,
        stride=stride,
        exchange=exchange,
        num_modalities=num_modalities,
    )
