"""Several devices, a process each: all hold the whole net, see their share of every batch, and take the same step.

Fabric starts the processes, or finds itself started by ``torchrun``, and lets them talk. The wrapper that it would put
around the net (`DistributedDataParallel`) is left out: it averages the gradients of ``net.forward``, and neither the
lips by themselves nor SMIL's meta step go through that. Here they are averaged after the backward pass in any case.
"""

from __future__ import annotations

import os

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments import TorchElasticEnvironment
from lightning.fabric.strategies import DDPStrategy
from torch import Tensor, nn

from avse.errors import UsageError


class Processes(DDPStrategy):
    """Processes that start and talk as for `DistributedDataParallel`, around a net that is not wrapped in it."""

    def setup_module(self, module: nn.Module) -> nn.Module:  # type: ignore[override]
        """The net as it is."""
        return module


def num_started() -> int | None:
    """How many processes ``torchrun`` started in all; None where it started nothing."""
    return int(os.environ["WORLD_SIZE"]) if TorchElasticEnvironment.detect() else None


def is_first() -> bool:
    """Whether this process is the one that reports; known before anything is set up."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def make_fabric(num_devices: int, precision: str) -> Fabric:
    """A Fabric for so many devices: GPUs where there are any, else processes on the CPU.

    Raises UsageError for more devices than there are GPUs.
    """
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if num_started() else num_devices
    if 0 < torch.cuda.device_count() < here:
        raise UsageError(f"{here} devices are asked for, and {torch.cuda.device_count()} are there.", "Ask for fewer.")
    if num_devices == 1:
        return Fabric(devices=1, precision=precision)  # type: ignore[arg-type]
    strategy = Processes()
    return Fabric(devices=here, num_nodes=num_devices // here, precision=precision, strategy=strategy)  # type: ignore[arg-type]


@torch.no_grad()
def average(fabric: Fabric, net: nn.Module) -> None:
    """Replace gradients, and what batch norms have gathered, by their mean over all processes.

    A weight with a gradient in any process gets one in all; one without stays without, as on a single device.
    """
    if fabric.world_size == 1:
        return
    weights = list(net.parameters())
    taught = torch.tensor([float(weight.grad is not None) for weight in weights], device=fabric.device)
    taught = _mean(fabric, taught) > 0
    for weight, is_taught in zip(weights, taught.tolist(), strict=True):
        if is_taught and weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    gathered = [value for name, value in net.named_buffers() if name.rpartition(".")[2].startswith("running_")]
    values = [weight.grad for weight in weights if weight.grad is not None] + gathered
    means = _mean(fabric, torch.cat([value.flatten() for value in values]))
    for value, mean in zip(values, means.split([value.numel() for value in values]), strict=True):
        value.copy_(mean.view(value.shape))


def _mean(fabric: Fabric, values: Tensor) -> Tensor:
    mean = fabric.all_reduce(values, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean
