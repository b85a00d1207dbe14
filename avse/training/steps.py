"""The losses of one batch by name, of the lip stream alone or of the whole net, and validation scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from avse.config import NUM_BANDS, SAMPLES_PER_FRAME, ModelConfig
from avse.data.dataset import Batch
from avse.dsp.stft import band_energies, istft, stft
from avse.features import LEVEL, SILENT_RMS, WINDOW, prepare
from avse.models.inputs import Inputs
from avse.models.net import Output, SpeechNet
from avse.training.losses.pesq import pesq_loss
from avse.training.losses.spectral import (
    asymmetric_loss,
    complex_loss,
    correlation,
    energy_targets,
    magnitude_loss,
    si_sdr,
)
from avse.training.losses.stoi import stoi_loss

Losses = dict[str, Tensor]


def lips_step(net: SpeechNet, batch: Batch) -> Losses:
    """Compute the loss of the lip stream, which predicts the band energies of the clean audio; it needs no labels."""
    inputs = prepare_batch(net, batch)
    return {"lips/energy": _energy_loss(net.predict_energies(inputs.lips), batch)}


def speech_step(net: SpeechNet, batch: Batch) -> Losses:
    """Compute all losses of the whole net on mixtures."""
    output = net(prepare_batch(net, batch))
    losses = speech_losses(output, batch, net.config)
    if torch.distributed.is_initialized() and output.energies is not None and "lips/energy" not in losses:
        losses["lips/energy"] = 0.0 * output.energies.sum()  # DDP waits for the gradient of every weight
    return losses


def speech_losses(output: Output, batch: Batch, config: ModelConfig) -> Losses:
    """Compute the losses of the whole net's output for a batch of mixtures."""
    hop, power = config.hop, config.compression
    reference = batch.target * (LEVEL / rms(batch.mixture).clamp_min(SILENT_RMS))[:, None]
    clean = stft(reference, WINDOW, hop)
    estimate = istft(output.spectrum, WINDOW, hop)
    losses = {
        "spec/magnitude": magnitude_loss(output.spectrum, clean, power),
        "spec/asymmetric": asymmetric_loss(output.spectrum, clean, power),
        "spec/complex": complex_loss(output.spectrum, clean, power),
        "wave/si_sdr": -si_sdr(estimate, reference).clamp(-30, 30).mean(),
        "wave/pesq": pesq_loss(estimate, reference).mean(),
        "wave/stoi": stoi_loss(estimate, reference).mean(),
    }
    if output.energies is not None and bool(batch.seen.any()):
        losses["lips/energy"] = _energy_loss(output.energies, batch)
    if output.divergence is not None:
        losses["smil/kl"] = output.divergence
    return losses


def total_loss(losses: Losses, weights: Mapping[str, float]) -> Tensor:
    """Return the weighted sum of named losses (a scalar)."""
    return torch.stack([weights[name] * value for name, value in losses.items()]).sum()


STEPS: Mapping[str, Callable[[SpeechNet, Batch], Losses]] = {"lips": lips_step, "speech": speech_step}


def prepare_batch(net: SpeechNet, batch: Batch) -> Inputs:
    """Return the net's inputs for a batch, prepared as for enhancement."""
    return prepare(batch.mixture, batch.crops, batch.seen, rms(batch.mixture), net.config)


def rms(waveform: Tensor) -> Tensor:
    """Compute the root mean square of (B, N): (B,)."""
    return waveform.square().mean(-1).sqrt()


@torch.no_grad()
def scores(net: SpeechNet, batch: Batch) -> dict[str, Tensor]:
    """Compute validation scores: SI-SDR gain in dB with and without video, correlation of predicted band energies."""
    inputs = prepare_batch(net, batch)
    blank = Inputs(inputs.spectrum, torch.zeros_like(inputs.lips), torch.zeros_like(inputs.seen))
    found = {}
    before = si_sdr(batch.mixture, batch.target)
    for name, given in {"seen": inputs, "unseen": blank}.items():
        estimate = istft(net(given).spectrum, WINDOW, net.config.hop)
        found[f"improvement_db/{name}"] = (si_sdr(estimate, batch.target) - before).mean()
    if net.lips is not None:
        truth = band_energies(batch.target, NUM_BANDS, SAMPLES_PER_FRAME)
        whole = batch.seen.all(-1) if bool(batch.seen.all(-1).any()) else slice(None)
        found["lips/correlation"] = correlation(net.lips(inputs.lips)[whole], truth[whole])
    return found


def _energy_loss(energies: Tensor, batch: Batch) -> Tensor:
    """Compute the smooth L1 distance from the true energies, over visible frames."""
    truth = energy_targets(band_energies(batch.target, NUM_BANDS, SAMPLES_PER_FRAME))
    distance = torch.nn.functional.smooth_l1_loss(energies, truth, reduction="none").mean(1)
    return (distance * batch.seen).sum() / batch.seen.sum().clamp_min(1)
