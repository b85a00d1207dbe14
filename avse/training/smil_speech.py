"""SMIL's meta step for the speech net: D^m are voices without video, D^f are talking faces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from avse.data.dataset import Batch
from avse.models.net import SpeechNet
from avse.training.smil import MetaLosses, SmilConfig, Weights, choose_outer, meta_losses
from avse.training.steps import prepare_batch, speech_losses, total_loss


def smil_step(
    net: SpeechNet, faces: Batch, voices: Batch, loss_weights: Mapping[str, float], config: SmilConfig
) -> MetaLosses:
    """Compute the meta losses of one step of the speech net.

    A batch in which every lip feature is imputed has hardly any variance: its own statistics would magnify it, and
    would leak into the running statistics. So the lip stream's batch norms use running statistics wherever the video
    is missing (ours): a copy of them, because D^f updates them before second-order gradients need them.

    Args:
        net: in training mode.
        faces: D^f, mixtures with video.
        voices: D^m, mixtures without video.
        loss_weights: weight of each named loss of `avse.training.steps`.
        config: settings of the meta step; ``outer_loss`` other than "full" also enhances ``faces`` without video.
    """
    hidden = _without_video(faces)

    def loss(weights: Weights, batch: Batch) -> Tensor:
        output = functional_call(net, dict(weights), (prepare_batch(net, batch),))
        return total_loss(speech_losses(output, batch, net.config), loss_weights)

    def loss_unseen(weights: Weights, batch: Batch) -> Tensor:
        norms = {name: value.clone() for name, value in net.named_buffers() if name.startswith(("lips.", "fusions."))}
        with running_statistics(net.lips, net.fusions):
            return loss({**weights, **norms}, batch)

    outer = choose_outer(lambda weights: loss(weights, faces), lambda weights: loss_unseen(weights, hidden), config)
    trained = {name: value for name, value in net.named_parameters() if value.requires_grad}
    return meta_losses(trained, lambda weights: loss_unseen(weights, voices), outer, config)


def _without_video(batch: Batch) -> Batch:
    """Return a batch whose video is missing in every frame."""
    return replace(batch, crops=torch.zeros_like(batch.crops), seen=torch.zeros_like(batch.seen))


@contextmanager
def running_statistics(*parts: nn.Module | None) -> Iterator[None]:
    """Let the batch norms of parts of a net in training use their running statistics, and leave these unchanged."""
    modules = [module for part in parts if part is not None for module in part.modules()]
    norms = [module for module in modules if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) and module.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
