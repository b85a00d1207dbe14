"""The training loop: one seeded batch after another, log, validation, until all steps are done or time is up."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from avse.data.dataset import count_workers, loader
from avse.training import distributed, run_folder
from avse.training.config import TrainConfig
from avse.training.data import TrainingData, training_mixers, training_rows
from avse.training.header import describe_run
from avse.training.meter import Meter
from avse.training.trainer import OnLine, Trainer

OnStep = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Outcome:
    """Hold the outcome of a session: the best checkpoint so far, and whether all steps are done."""

    best: Path
    is_finished: bool


def train(
    config: TrainConfig,
    folders: TrainingData,
    run: Path,
    start_from: Sequence[Path] = (),
    max_hours: float | None = None,
    on_step: OnStep | None = None,
    on_line: OnLine | None = None,
) -> Path:
    """Train, or resume ``run``; return the best checkpoint so far, ``run/best.safetensors``.

    Args:
        config: the settings; stage and model must be those of the run that is resumed. Under ``torchrun`` the number
            of devices is its own.
        folders: what to train and validate on.
        run: folder for last.pt (to resume), best.safetensors, train.log, curves and audio; locked meanwhile.
        start_from: checkpoints from which a new run takes the weights that match by name and shape, later ones over
            earlier ones; ``config.start_parts`` may name the parts that are taken.
        max_hours: stop in good order after this time.
        on_step: called with the step and its losses after each step (on several devices those of the first one's
            share), and with scores after each validation; by the first process only.
        on_line: called with each line of the run's log; by the first process only.
    """
    deadline = time.monotonic() + (math.inf if max_hours is None else max_hours * 3600)
    return run_until(deadline, on_devices(config), folders, run, start_from, on_step, on_line).best


def on_devices(config: TrainConfig) -> TrainConfig:
    """Return settings with the number of devices there are; UsageError for a batch that they cannot share equally."""
    return replace(config, num_devices=distributed.count_devices(config.num_devices))


def run_until(
    deadline: float,
    config: TrainConfig,
    folders: TrainingData,
    run: Path,
    start_from: Sequence[Path] = (),
    on_step: OnStep | None = None,
    on_line: OnLine | None = None,
) -> Outcome:
    """Train as `train` does, with settings `on_devices`, until a time of `time.monotonic`."""
    mixers = training_mixers(config, folders)
    with (
        run_folder.lock_run(run, distributed.is_first()),
        closing(Trainer(config, folders, run, start_from, on_line)) as trainer,
    ):
        report = on_step if on_step and trainer.is_first else (lambda step, values: None)
        rows = training_rows(config, mixers, trainer.step, trainer.fabric.global_rank)
        num_workers = count_workers(config.num_workers, config.num_devices)
        if trainer.step < config.num_steps:
            lines = describe_run(trainer.fabric, trainer.net.module, config, mixers, trainer.step, num_workers)
            trainer.say([*lines, *trainer.start_notes])
        meter = Meter(trainer.step, config.num_steps)
        for row in meter.timed(loader(rows, num_workers)):
            losses = trainer.learn(*row)
            report(trainer.step, losses)
            meter.add(losses)
            is_late = math.isfinite(deadline) and trainer.is_agreed(time.monotonic() > deadline)
            finished = is_late or trainer.step == config.num_steps
            if finished or trainer.step % config.log_every == 0:
                trainer.log(meter.take(trainer.step))
            if finished or trainer.step % config.validate_every == 0:
                report(trainer.step, trainer.validate())
            elif trainer.is_first:
                trainer.save_if_due()
            if finished:
                break
        if trainer.lacks_best:
            report(trainer.step, trainer.validate())
        return Outcome(trainer.best_path, trainer.step >= config.num_steps)
