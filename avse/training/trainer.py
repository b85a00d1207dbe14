"""The training loop: seeded batches, averaged weights, validation on speakers never trained on, exact resuming.

On several devices every process runs all of it on its share of each batch; the first one validates, writes, reports.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from avse.config import ModelConfig, from_mapping
from avse.data.augmentation.mouth import augment, jitter_av_offset
from avse.data.dataset import Batch, Batches, loader
from avse.errors import AvseError, MissingError, UsageError
from avse.io import atomic
from avse.models.net import SpeechNet
from avse.training import distributed
from avse.training.config import TrainConfig, as_mapping
from avse.training.data import TrainingData, training_mixers, training_rows
from avse.training.run_state import check_moments, read_state, refusing_damage
from avse.training.smil import smil_step
from avse.training.smil_priors import set_priors
from avse.training.steps import STEPS, Losses, scores, total_loss
from avse.training.tensorboard import TensorBoardLog
from avse.weights.checkpoint import load_checkpoint, save_checkpoint
from avse.weights.metadata import Provenance

VALIDATION_SEED = 1_000_003
RANK_SEED = 3_000_017
VALIDATION_BATCH_SIZE = 32
KEPT_BY = {"lips": "lips/correlation", "speech": "improvement_db/seen", "smil": "improvement_db/seen"}


def train(
    config: TrainConfig,
    folders: TrainingData,
    run: Path,
    start_from: Sequence[Path] = (),
    max_hours: float | None = None,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> Path:
    """Train, or go on where ``run`` stopped; returns the best checkpoint so far, ``run/best.safetensors``.

    Args:
        config: the settings; must be those of the run that is resumed. Under ``torchrun`` the number of devices is its.
        folders: what to train and validate on.
        run: folder for last.pt (to resume), best.safetensors and TensorBoard's curves and sounds; held alone.
        start_from: checkpoints whose weights, as far as they fit by name and shape, are where a new run starts; the
            later ones lie over the earlier ones. ``config.start_parts`` may name the parts that are taken over.
        max_hours: stop in good order after this time.
        on_step: called with the step and its losses after each step (on several devices those of the first one's
            share), and with scores after each validation; by the first process only.
    """
    deadline = time.monotonic() + (math.inf if max_hours is None else max_hours * 3600)
    config = replace(config, num_devices=distributed.num_started() or config.num_devices)
    mixers = training_mixers(config, folders)
    with held(run, distributed.is_first()), closing(Trainer(config, folders, run, start_from)) as trainer:
        report = on_step if on_step and trainer.is_first else (lambda step, values: None)
        rows = training_rows(config, mixers, trainer.step, trainer.fabric.global_rank)
        for row in loader(rows, config.num_workers):
            losses = trainer.learn(*row)
            report(trainer.step, losses)
            is_late = max_hours is not None and trainer.is_agreed(time.monotonic() > deadline)
            finished = is_late or trainer.step == config.num_steps
            if finished or trainer.step % config.validate_every == 0:
                report(trainer.step, trainer.validate())
            if finished:
                break
    return trainer.best_path


def held(run: Path, is_first: bool) -> ExitStack:
    """The run's folder, held by the first process alone where its disk knows locks; UsageError if another holds it."""
    lock = ExitStack()
    if is_first:
        with suppress(MissingError):
            lock.enter_context(atomic.lock_folder(run))
    return lock


class Trainer:
    """The state of a run: net, averaged net, optimiser, step, best score."""

    def __init__(self, config: TrainConfig, folders: TrainingData, run: Path, start_from: Sequence[Path] = ()) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.config, self.run, self.step, self.best = config, run, 0, -math.inf
        self.best_path, self._state_path = run / "best.safetensors", run / "last.pt"
        self.validation_speakers = sorted(set(folders.validation_speakers))
        mixer = folders.mixer(config, bool(folders.validation_speakers))
        self.validation = Batches(mixer, VALIDATION_SEED, VALIDATION_BATCH_SIZE, 0, config.num_validation_batches)
        stored = self._stored()
        torch.manual_seed(config.seed)
        net = SpeechNet(config.model)
        self.start: str | None = None
        if stored is None and start_from:
            given = [load_checkpoint(path) for path in start_from]
            for checkpoint in given:
                load_matching(net, checkpoint.net.state_dict(), config.start_parts)
            self.start = " + ".join(checkpoint.sha256 for checkpoint in given)
        if stored is None:
            set_priors(net, folders.talkers(False).values(), config.seed)
        self.fabric = distributed.make_fabric(config.num_devices, config.precision)
        self.fabric.launch()
        net.load_state_dict(self.fabric.broadcast(net.state_dict()))
        optimiser = torch.optim.AdamW(
            net.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.net, self.optimiser = self.fabric.setup(net, optimiser)
        self.average = AveragedModel(
            self.net.module, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
        )
        self.generator = torch.Generator()
        if stored is not None:
            self._resume(stored)
        self.curves = TensorBoardLog(run, self.step) if self.is_first else None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that validates, writes and reports."""
        return self.fabric.global_rank == 0

    def is_agreed(self, answer: bool) -> bool:
        """The first process's answer, in all of them."""
        return bool(self.fabric.broadcast(answer))

    def close(self) -> None:
        """Write what curves are still to be written."""
        if self.curves is not None:
            self.curves.close()

    def learn(self, batch: Batch, audio_only: Batch | None = None) -> dict[str, float]:
        """One step on one batch, for SMIL with one of examples without picture; returns its losses."""
        self.net.train()
        self._seed_step()
        crops, seen = self._filmed(batch)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._rate()
        moved = Batch(batch.mixture, batch.target, crops, seen).to(self.fabric.device)
        with self.fabric.autocast():
            objective, losses = self._losses(moved, audio_only)
        self.optimiser.zero_grad()
        self.fabric.backward(objective)
        distributed.average(self.fabric, self.net.module)
        self.fabric.clip_gradients(self.net, self.optimiser, max_norm=self.config.clip_norm)
        self.optimiser.step()
        self.average.update_parameters(self.net.module)
        self.step += 1
        found = {f"train/{name}": float(value.detach()) for name, value in losses.items()}
        if self.curves is not None and self.step % 20 == 0:
            self.curves.write(found, self.step)
        return found

    def _filmed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mouths as another camera would have shown them, and where they are seen."""
        if self.config.model.fusion == "none":
            return batch.crops, batch.seen
        settings = self.config.augment
        crops, seen = jitter_av_offset(batch.crops, batch.seen, settings.av_jitter_frames, self.generator)
        return augment(crops, settings, self.generator), seen

    def _losses(self, batch: Batch, audio_only: Batch | None) -> tuple[Tensor, Losses]:
        """What to differentiate, and what to tell."""
        if audio_only is None:
            losses = STEPS[self.config.stage](self.net, batch)
            return total_loss(losses, self.config.weights), losses
        voices = audio_only.to(self.fabric.device)
        found = smil_step(self.net.module, batch, voices, self.config.weights, self.config.smil)
        return found.objective, {"smil/audio_only": found.inner, "smil/faces": found.outer}

    def validate(self) -> dict[str, float]:
        """Score the averaged net on the validation speakers, keep it if it is the best, save what resuming needs.

        All but the first process wait for it, and find nothing.
        """
        found = self._validate() if self.curves is not None else {}
        self.fabric.barrier()
        return found

    def _validate(self) -> dict[str, float]:
        net = self.average.module.eval()
        assert isinstance(net, SpeechNet)
        assert self.curves is not None
        batches = [self.validation[index].to(self.fabric.device) for index in range(len(self.validation))]
        told = [scores(net, batch) for batch in batches]
        found = {f"validation/{name}": float(torch.stack([b[name] for b in told]).mean()) for name in told[0]}
        if not all(map(math.isfinite, found.values())):
            raise AvseError(f"The scores of step {self.step} are no numbers.", "Take a lower learning_rate.")
        self.curves.write(found, self.step)
        if self.config.stage != "lips":
            self.curves.write_sounds(net, batches[0], self.step)
        score = found["validation/" + KEPT_BY[self.config.stage]]
        if score > self.best:
            self.best = score
            provenance = Provenance(
                training=as_mapping(self.config), validation_speakers=tuple(self.validation_speakers),
                start=self.start, step=self.step, validation=found,
            )  # fmt: skip
            save_checkpoint(self.best_path, net, provenance)
        self._save()
        return found

    def _seed_step(self) -> None:
        """Augmentation and dropout depend on the step alone, so that a resumed run draws what it would have drawn."""
        seed = self.config.seed * 1_000_003 + self.step + RANK_SEED * self.fabric.global_rank
        self.generator.manual_seed(seed)
        torch.manual_seed(seed)

    def _rate(self) -> float:
        """Linear warm-up, then half a cosine down to 0."""
        if self.step < self.config.warmup_steps:
            return (self.step + 1) / self.config.warmup_steps
        return 0.5 + 0.5 * math.cos(math.pi * self.step / self.config.num_steps)

    def _save(self) -> None:
        state: dict[str, Any] = {
            "net": self.net.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "start": self.start,
            "settings": self._lasting_settings(),
        }
        with atomic.atomic_path(self._state_path) as partial:
            torch.save(state, partial)

    def _stored(self) -> dict[str, Any] | None:
        """What the run left behind, if it did; UsageError if it was another kind of run."""
        if not self._state_path.exists():
            return None
        state = read_state(self._state_path)
        own = self._lasting_settings()
        stored = own | state.get("settings", {})
        with refusing_damage(self._state_path):
            stored["model"] = asdict(from_mapping(ModelConfig, stored["model"]))  # as it was, with what came later
        if differing := [name for name in own if stored[name] != own[name]]:
            told = " and ".join(name.replace("_", " ") for name in differing)
            raise UsageError(
                f"The run in {self.run} has another {told}.",
                "Give the settings and the --val-speakers of that run, or choose another folder.",
            )
        return state

    def _resume(self, state: Mapping[str, Any]) -> None:
        with refusing_damage(self._state_path):
            self.net.module.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            check_moments(self.optimiser.state)
        self.step, self.best, self.start = state["step"], state["best"], state.get("start")

    def _lasting_settings(self) -> dict[str, Any]:
        """What a run cannot change on its way."""
        return {
            "stage": self.config.stage,
            "model": asdict(self.config.model),
            "validation_set": self.validation_speakers,
        }


def load_matching(net: SpeechNet, state: Mapping[str, Tensor], parts: Sequence[str] = ()) -> int:
    """Take over the weights that fit by name and shape, of these parts of the net or of all; returns how many did."""
    own = net.state_dict()
    wanted = {name: value for name, value in state.items() if not parts or name.split(".")[0] in parts}
    fitting = {name: value for name, value in wanted.items() if name in own and own[name].shape == value.shape}
    net.load_state_dict(own | fitting)
    return len(fitting)
