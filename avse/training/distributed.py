"""Several devices, one process each: every process holds the whole net and takes the same step on its share of a batch.

Fabric starts the processes, or is itself started by ``torchrun``. Gradients are averaged by `DistributedDataParallel`,
except in stage smil: SMIL's meta step differentiates named weights, not ``net.forward``, so the net is not wrapped and
its gradients are averaged after the backward pass.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import Logger
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from lightning.fabric.strategies import DDPStrategy
from torch import Tensor, nn

from avse.errors import UsageError


class UnwrappedStrategy(DDPStrategy):
    """Start and connect processes as for `DistributedDataParallel`, but leave the net unwrapped."""

    def setup_module(self, module: nn.Module) -> nn.Module:  # type: ignore[override]
        """Return the net as it is."""
        return module


def num_started() -> int | None:
    """Return the number of processes that ``torchrun`` started on all machines; None without ``torchrun``."""
    return int(os.environ["WORLD_SIZE"]) if TorchElasticEnvironment.detect() else None


def count_devices(wanted: int) -> int:
    """Return the number of devices of a run: as many as ``torchrun`` started processes, else those wanted.

    Raises:
        UsageError: ``srun`` started several processes, each of which would start as many as there are devices.
    """
    if started := num_started():
        return started
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if tasks > 1 and wanted > 1:
        raise UsageError(
            f"srun started {tasks} processes, and each of them would start {wanted}.",
            f"Use srun --ntasks 1 with --devices {wanted}, or for several machines torchrun.",
        )
    return wanted


def is_first() -> bool:
    """Tell whether this process is the one that reports; known before anything is set up."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def make_fabric(num_devices: int, precision: str, stage: str = "speech", loggers: Sequence[Logger] = ()) -> Fabric:
    """Return a Fabric for a number of devices: GPUs where there are any, else processes on the CPU.

    Args:
        num_devices: in all, on all machines.
        precision: Fabric's name of it, such as 32-true or bf16-mixed.
        stage: of training; in stage smil the net is not wrapped, in stage lips most weights have no gradient.
        loggers: where `Fabric.log_dict` writes.

    Raises:
        UsageError: more devices than there are GPUs.
    """
    here = int(os.environ["LOCAL_WORLD_SIZE"]) if num_started() else num_devices
    if 0 < torch.cuda.device_count() < here:
        found = torch.cuda.device_count()
        raise UsageError(
            f"{here} devices were requested, but {found} are available.", f"Use --devices {found} or fewer."
        )
    # Left alone, Fabric would take any process in a job of SLURM, LSF or MPI for one of many, and start none.
    plugins = [] if num_started() else [LightningEnvironment()]
    settings: dict[str, Any] = {"precision": precision, "loggers": list(loggers), "plugins": plugins}
    if num_devices == 1:
        return Fabric(devices=1, **settings)
    strategy = UnwrappedStrategy() if stage == "smil" else _wrapped(stage)
    return Fabric(devices=here, num_nodes=num_devices // here, strategy=strategy, **settings)


def launch(fabric: Fabric, num_devices: int) -> None:
    """Start the processes, or join them; UsageError if there are not as many as devices: each takes its share alone."""
    fabric.launch()
    if fabric.world_size != num_devices:
        raise UsageError(
            f"{num_devices} devices were requested, but {fabric.world_size} take part.",
            "Unset the environment variables LT_DEVICES and LT_NUM_NODES.",
        )


def _wrapped(stage: str) -> DDPStrategy:
    """Return the strategy of `DistributedDataParallel`; buffers are averaged by `average_buffers` instead."""
    return DDPStrategy(find_unused_parameters=stage == "lips", broadcast_buffers=False)


@torch.no_grad()
def average_gradients(fabric: Fabric, net: nn.Module) -> None:
    """Replace the gradients of an unwrapped net by their mean over all processes.

    A weight with a gradient in any process gets one in all; one without stays without, as on a single device.
    """
    if fabric.world_size == 1:
        return
    weights = list(net.parameters())
    has_gradient = torch.tensor([float(weight.grad is not None) for weight in weights], device=fabric.device)
    for weight, is_wanted in zip(weights, (_mean(fabric, has_gradient) > 0).tolist(), strict=True):
        if is_wanted and weight.grad is None:
            weight.grad = torch.zeros_like(weight)
    _average_in_place(fabric, [weight.grad for weight in weights if weight.grad is not None])


@torch.no_grad()
def average_buffers(fabric: Fabric, net: nn.Module) -> None:
    """Replace the running statistics of batch norms by their mean over all processes."""
    if fabric.world_size > 1:
        running = [value for name, value in net.named_buffers() if name.rpartition(".")[2].startswith("running_")]
        _average_in_place(fabric, running)


def _average_in_place(fabric: Fabric, values: Sequence[Tensor]) -> None:
    means = _mean(fabric, torch.cat([value.flatten() for value in values]))
    for value, mean in zip(values, means.split([value.numel() for value in values]), strict=True):
        value.copy_(mean.view(value.shape))


def _mean(fabric: Fabric, values: Tensor) -> Tensor:
    mean = fabric.all_reduce(values, reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean
