"""Write curves and a few validation mixtures for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from avse.config import SAMPLE_RATE
from avse.data.dataset import Batch
from avse.dsp.stft import istft
from avse.features import LEVEL, WINDOW
from avse.models.net import SpeechNet
from avse.training.steps import prepare_batch, rms

NUM_EXAMPLES = 3


class TensorBoardLog:
    """Write curves and examples into a run's folder, from ``step`` on."""

    def __init__(self, run: Path, step: int) -> None:
        self._writer = SummaryWriter(str(run), purge_step=step + 1)
        self._has_inputs = False

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Write points of curves."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def write_audio(self, net: SpeechNet, batch: Batch, step: int) -> None:
        """Write the estimates of the first examples of a batch and, the first time, mixtures and targets."""
        for kind, waveforms in examples(net, batch).items():
            if kind == "estimate" or not self._has_inputs:
                for number, waveform in enumerate(waveforms, 1):
                    self._writer.add_audio(f"example {number}/{kind}", waveform[None], step, SAMPLE_RATE)
        self._has_inputs = True

    def close(self) -> None:
        """Write what is still to be written."""
        self._writer.close()


@torch.no_grad()
def examples(net: SpeechNet, batch: Batch) -> dict[str, Tensor]:
    """Return mixture, estimate and target of the first examples, (B, N) each on the CPU, with one gain.

    The mixture's largest sample becomes 0.9, and the others get the same gain; what goes beyond 1 is clipped.
    """
    few = Batch(*(value[:NUM_EXAMPLES] for value in (batch.mixture, batch.target, batch.crops, batch.seen)))
    level = rms(few.mixture).clamp_min(1e-5) / LEVEL
    estimate = istft(net(prepare_batch(net, few)).spectrum, WINDOW, net.config.hop) * level[:, None]
    gain = 0.9 / few.mixture.abs().amax(-1, keepdim=True).clamp_min(1e-5)
    waveforms = {"mixture": few.mixture, "estimate": estimate, "target": few.target}
    return {kind: (waveform * gain).clamp(-1, 1).cpu() for kind, waveform in waveforms.items()}
