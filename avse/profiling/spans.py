"""Run the real pipeline with its spans recorded, and keep the inputs of the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from avse.enhancement.pipeline import enhance
from avse.enhancement.result import Result
from avse.models.inputs import Inputs
from avse.models.net import SpeechNet
from avse.progress import Stage, record_spans
from avse.weights.checkpoint import Checkpoint


@dataclass
class ProfiledRun:
    """Hold one run of `enhance`: seconds and number of spans by stage, and the network with its inputs."""

    result: Result
    seconds: dict[Stage, float]
    counts: dict[Stage, int]
    net: SpeechNet
    inputs: list[Inputs] = field(default_factory=list)


def profile(checkpoint: Checkpoint, recording: Path, output: Path) -> ProfiledRun:
    """Enhance a recording into ``output``, which is replaced, and measure the time of its stages."""
    device = next(checkpoint.net.parameters()).device
    with record_spans(lambda: synchronise(device)) as recorder, _captured() as calls:
        result = enhance(recording, output, model=checkpoint, force=True)
    return ProfiledRun(
        result, dict(recorder.seconds), dict(recorder.counts), calls[0][0], [given for _, given in calls]
    )


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has finished its work; on a CPU there is nothing to wait for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _captured() -> Iterator[list[tuple[SpeechNet, Inputs]]]:
    """Collect every network that is called, with its inputs."""
    calls: list[tuple[SpeechNet, Inputs]] = []

    def keep(module: nn.Module, arguments: Any) -> None:
        if isinstance(module, SpeechNet):
            calls.append((module, arguments[0]))

    hook = register_module_forward_pre_hook(keep)
    try:
        yield calls
    finally:
        hook.remove()
