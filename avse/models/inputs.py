"""The network's input.

Legend: `B` batch, `F` frequency bins, `T` STFT frames, `V` video frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Inputs(NamedTuple):
    """Hold a batch of network inputs.

    ``spectrum`` complex (B, F, T) of the level-normalised mixture; ``lips`` float (B, V, H, W), every frame with mean 0
    and deviation 1, all 0 where not seen; ``seen`` float (B, V), 1 or 0.
    """

    spectrum: Tensor
    lips: Tensor
    seen: Tensor
