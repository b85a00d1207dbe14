"""The log of a run: lines of text in ``train.log``, and values to TensorBoard, CSV and Weights & Biases."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from lightning.fabric import Fabric
from lightning.fabric.loggers import CSVLogger, Logger

from avse.data.dataset import Batch
from avse.errors import MissingError
from avse.models.net import SpeechNet
from avse.training.tensorboard import TensorBoardLog

TEXT = "train.log"


def make_loggers(names: Sequence[str], run: Path) -> list[Logger]:
    """Return Fabric's loggers of these names, csv or wandb, which write below a run's folder.

    Raises:
        MissingError: Weights & Biases is asked for and not installed.
    """
    loggers: list[Logger] = []
    if "csv" in names:  # one file for each start: RUN/csv/version_0/metrics.csv
        loggers.append(CSVLogger(run, name="csv", flush_logs_every_n_steps=1))
    if "wandb" in names:
        try:
            from lightning.pytorch.loggers import WandbLogger

            loggers.append(WandbLogger(name=run.name, save_dir=run, project="avse"))
        except ModuleNotFoundError as error:
            raise MissingError(
                "Weights & Biases is not installed.", "Type: pip install wandb, or remove wandb from loggers."
            ) from error
    return loggers


class RunLog:
    """Write what a run has to say, in its first process.

    Args:
        fabric: whose loggers get the values.
        run: the run's folder.
        step: where the run goes on; TensorBoard drops what an interrupted run wrote after it.
        with_tensorboard: whether to write for TensorBoard.
        on_line: called with every line of text.
    """

    def __init__(
        self, fabric: Fabric, run: Path, step: int, with_tensorboard: bool, on_line: Callable[[str], None] | None = None
    ) -> None:
        self._fabric, self._path, self._on_line = fabric, run / TEXT, on_line
        self._tensorboard = TensorBoardLog(run, step) if with_tensorboard else None

    def write_line(self, text: str) -> None:
        """Append a line, with the time, to the text log."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        if self._on_line is not None:
            self._on_line(text)

    def write_values(self, values: Mapping[str, float], step: int) -> None:
        """Write values to TensorBoard and to Fabric's loggers."""
        if self._tensorboard is not None:
            self._tensorboard.write(values, step)
        self._fabric.log_dict(values, step)

    def write_audio(self, net: SpeechNet, batch: Batch, step: int) -> None:
        """Write the first examples of a batch for listening."""
        if self._tensorboard is not None:
            self._tensorboard.write_audio(net, batch, step)

    def close(self) -> None:
        """Write what is still to be written."""
        if self._tensorboard is not None:
            self._tensorboard.close()
        for logger in self._fabric.loggers:
            logger.finalize("success")
            if finish := getattr(getattr(logger, "_experiment", None), "finish", None):
                finish()  # otherwise the next stage would go on with this run of Weights & Biases


def describe_step(step: int, num_steps: int, values: Mapping[str, float]) -> str:
    """Return a line on the training since the last one: losses, learning rate, speed, data wait, time left."""
    losses = [f"{name.removeprefix('train/')} {value:.4g}" for name, value in values.items() if name[:6] == "train/"]
    left = timedelta(seconds=round(values["speed/seconds_left"]))
    speed = f"{values['speed/steps_per_second']:.3g} steps/s, data wait {values['speed/data_wait']:.0%}, {left} left"
    return f"step {step}/{num_steps}  {'  '.join(losses)}  lr {values['learning_rate']:.3g}  {speed}"


def describe_scores(step: int, num_steps: int, scores: Mapping[str, float], is_best: bool) -> str:
    """Return a line on a validation."""
    found = "  ".join(f"{name.removeprefix('validation/')} {value:.3f}" for name, value in scores.items())
    return f"step {step}/{num_steps}  validation  {found}{'  (best so far)' if is_best else ''}"
