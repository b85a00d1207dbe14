"""Export a network to ONNX or to a `torch.export` program, with dynamic batch and time axes.

Complex spectra enter as two real planes, so that any runtime can feed them.

Legend: `B` batch, `F` = 321 frequency bins, `T` STFT frames, `V` video frames, `H W` pixels.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from avse.config import SAMPLES_PER_FRAME
from avse.errors import MissingError
from avse.installation import install_hint
from avse.io.atomic import atomic_path
from avse.io.paths import as_path
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet
from avse.weights.checkpoint import Checkpoint

if TYPE_CHECKING:
    from torch.export import ExportedProgram

NUM_BINS = SAMPLES_PER_FRAME // 2 + 1
INPUTS = ("real", "imaginary", "lips", "seen")
_TRACED_FRAMES = 10


class MaskNet(nn.Module):
    """Map the planes of a spectrum, with mouth crops if the network takes them, to the mask.

    ``real`` and ``imaginary`` are (B, F, T), T a fixed multiple of V; ``lips`` (B, V, H, W) and ``seen`` (B, V) are
    those of `avse.models.inputs.Inputs`. Returns the mask (B, F, T).
    """

    def __init__(self, net: SpeechNet) -> None:
        super().__init__()
        self.net = net
        self.steps = SAMPLES_PER_FRAME // net.config.hop
        """STFT frames in a video frame."""

    def forward(
        self, real: Tensor, imaginary: Tensor, lips: Tensor | None = None, seen: Tensor | None = None
    ) -> Tensor:
        """Compute the mask; lips are left out for an audio-only network."""
        if lips is None or seen is None:
            lips = seen = real[:, 0, :: self.steps]
        planes = (plane.unflatten(2, (seen.shape[1], self.steps)).flatten(2) for plane in (real, imaginary))
        mask: Tensor = self.net(Inputs(torch.complex(*planes), lips, seen)).mask
        return mask


def export_program(checkpoint: Checkpoint) -> ExportedProgram:
    """Convert a network to a `torch.export` program; save it with `torch.export.save`. Takes about 20 s for `avse`."""
    module = MaskNet(checkpoint.net).eval()
    batch, frames = torch.export.Dim("batch", max=4096), torch.export.Dim("frames", min=2, max=100_000)
    times, side = module.steps * _TRACED_FRAMES, checkpoint.net.config.lip_side
    inputs = [torch.randn(2, NUM_BINS, times), torch.randn(2, NUM_BINS, times)]
    axes: list[dict[int, object]] = [{0: batch, 2: module.steps * frames}] * 2
    if checkpoint.net.lips is not None:
        inputs += [torch.randn(2, _TRACED_FRAMES, side, side), torch.ones(2, _TRACED_FRAMES)]
        axes += [{0: batch, 1: frames}] * 2
    with torch.no_grad():
        return torch.export.export(
            module, tuple(inputs), dynamic_shapes={name: dims for name, dims in zip(INPUTS, axes, strict=False)},
            strict=False, prefer_deferred_runtime_asserts_over_guards=True,
        )  # fmt: skip


def export_onnx(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write the network as ONNX; inputs and output are named real, imaginary, lips, seen and mask.

    The file's metadata ``avse`` holds name and configuration as JSON. MissingError without the package onnxscript.
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingError("ONNX export needs the package onnxscript.", install_hint("export")) from error
    import onnx

    program = export_program(checkpoint)
    names = INPUTS if checkpoint.net.lips is not None else INPUTS[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch's own exporter
        exported = torch.onnx.export(
            program, dynamo=True, input_names=list(names), output_names=["mask"], verbose=False
        )
    assert exported is not None
    model = exported.model_proto
    onnx.helper.set_model_props(model, {"avse": json.dumps(dict(checkpoint.about))})
    with atomic_path(as_path(path, "path")) as partial:
        partial.write_bytes(model.SerializeToString())
