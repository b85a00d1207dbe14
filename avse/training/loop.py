"""The training loop: seeded batches, averaged weights, validation on speakers never trained on, exact resuming."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.tensorboard import SummaryWriter

from avse import files
from avse.checkpoint import load_checkpoint, save_checkpoint
from avse.config import ModelConfig, from_mapping
from avse.data.augment import augment
from avse.data.cache import find_clips
from avse.data.dataset import Batch, Batches, Rows, loader
from avse.data.mixing import Mixer, Talkers
from avse.errors import UsageError
from avse.models.net import SpeechNet
from avse.training.priors import set_priors
from avse.training.settings import TrainConfig, as_mapping
from avse.training.smil import smil_step
from avse.training.steps import STEPS, Losses, scores, total_loss

VALIDATION_SEED = 1_000_003
AUDIO_ONLY_SEED = 2_000_003
VALIDATION_BATCH_SIZE = 32
KEPT_BY = {"lips": "lips/correlation", "speech": "improvement_db/seen", "smil": "improvement_db/seen"}


@dataclass(frozen=True)
class Folders:
    """Prepared clips: talking faces, and optionally voices without picture and noises; speakers kept for validation.

    ``audio_only`` are SMIL's examples without picture, to be enhanced themselves; ``voices`` talk over others.
    """

    faces: Path
    voices: Path | None = None
    noises: Path | None = None
    validation_speakers: tuple[str, ...] = ()
    audio_only: Path | None = None

    def mixer(self, config: TrainConfig, validation: bool) -> Mixer:
        """Training mixtures, or validation mixtures of other speakers."""
        talkers = self.talkers(validation)
        return Mixer(talkers, *self._interference(validation), config.mix)

    def audio_only_mixer(self, config: TrainConfig) -> Mixer:
        """Training mixtures without picture: of speech that has none, or else of talking faces, hidden."""
        if self.audio_only is None:
            hidden = replace(config.mix, unseen_probability=1.0)
            return Mixer(self.talkers(False), *self._interference(False), hidden)
        voices, noises = self._interference(False)
        return Mixer(_share(find_clips(self.audio_only), False), voices or self.talkers(False), noises, config.mix)

    def talkers(self, validation: bool) -> dict[str, list[Path]]:
        """Clips of the talking faces to train on, or to validate on."""
        talkers = find_clips(self.faces)
        if missing := sorted(set(self.validation_speakers) - set(talkers)):
            raise UsageError(f"No prepared clips of {', '.join(missing)}.", f"There are: {', '.join(talkers)}.")
        return {name: clips for name, clips in talkers.items() if (name in self.validation_speakers) == validation}

    def _interference(self, validation: bool) -> tuple[Talkers, Talkers]:
        """Voices and noises."""
        voices = _share(find_clips(self.voices), validation) if self.voices else {}
        return voices, find_clips(self.noises) if self.noises else {}


def train(
    config: TrainConfig,
    folders: Folders,
    run: Path,
    start_from: Path | None = None,
    max_hours: float | None = None,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> Path:
    """Train, or go on where ``run`` stopped; returns the best checkpoint so far, ``run/best.safetensors``.

    Args:
        config: the settings; must be those of the run that is resumed.
        folders: what to train and validate on.
        run: folder for last.pt (to resume), best.safetensors and TensorBoard's curves.
        start_from: checkpoint whose weights, as far as they fit by name and shape, are where a new run starts.
        max_hours: stop in good order after this time.
        on_step: called with the step and its losses after each step, and with scores after each validation.
    """
    deadline = time.monotonic() + (math.inf if max_hours is None else max_hours * 3600)
    trainer = Trainer(config, folders, run, start_from)
    report = on_step or (lambda step, values: None)
    with trainer.curves:
        for row in loader(training_rows(config, folders, trainer.step), config.num_workers):
            losses = trainer.learn(*row)
            report(trainer.step, losses)
            finished = trainer.step == config.num_steps or time.monotonic() > deadline
            if finished or trainer.step % config.validate_every == 0:
                found = trainer.validate()
                report(trainer.step, found)
            if finished:
                break
    return trainer.best_path


def training_rows(config: TrainConfig, folders: Folders, first: int) -> Rows:
    """Batches from step ``first`` on: one a step, or for SMIL one with pictures and one without."""
    mixers = [(folders.mixer(config, False), config.seed)]
    if config.stage == "smil":
        mixers.append((folders.audio_only_mixer(config), config.seed + AUDIO_ONLY_SEED))
    elif folders.audio_only is not None:
        raise UsageError("Examples without picture of their own are for SMIL.", "Add --smil, or give them as voices.")
    return Rows(*(Batches(mixer, seed, config.batch_size, first, config.num_steps) for mixer, seed in mixers))


class Trainer:
    """The state of a run: net, averaged net, optimiser, step, best score."""

    def __init__(self, config: TrainConfig, folders: Folders, run: Path, start_from: Path | None) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.config, self.run, self.step, self.best = config, run, 0, -math.inf
        self.best_path, self._state_path = run / "best.safetensors", run / "last.pt"
        self.fabric = Fabric(devices=1, precision=config.precision)  # type: ignore[arg-type]
        self.fabric.launch()
        torch.manual_seed(config.seed)
        net = SpeechNet(config.model)
        if start_from is not None:
            load_matching(net, load_checkpoint(start_from).net.state_dict())
        if not self._state_path.exists():
            set_priors(net, folders.talkers(False).values(), config.seed)
        optimiser = torch.optim.AdamW(
            net.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.net, self.optimiser = self.fabric.setup(net, optimiser)
        self.average = AveragedModel(
            self.net.module, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
        )
        self.generator = torch.Generator()
        mixer = folders.mixer(config, True) if folders.validation_speakers else folders.mixer(config, False)
        self.validation = Batches(mixer, VALIDATION_SEED, VALIDATION_BATCH_SIZE, 0, config.num_validation_batches)
        self._resume()
        self.curves = SummaryWriter(str(run), purge_step=self.step + 1)

    def learn(self, batch: Batch, audio_only: Batch | None = None) -> dict[str, float]:
        """One step on one batch, for SMIL with one of examples without picture; returns its losses."""
        self.net.train()
        self._seed_step()
        looks = self.config.model.fusion != "none"
        crops = augment(batch.crops, self.config.augment, self.generator) if looks else batch.crops
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._rate()
        moved = Batch(batch.mixture, batch.target, crops, batch.seen).to(self.fabric.device)
        with self.fabric.autocast():
            objective, losses = self._losses(moved, audio_only)
        self.optimiser.zero_grad()
        self.fabric.backward(objective)
        self.fabric.clip_gradients(self.net, self.optimiser, max_norm=self.config.clip_norm)
        self.optimiser.step()
        self.average.update_parameters(self.net.module)
        self.step += 1
        found = {f"train/{name}": float(value.detach()) for name, value in losses.items()}
        if self.step % 20 == 0:
            self._write(found)
        return found

    def _losses(self, batch: Batch, audio_only: Batch | None) -> tuple[Tensor, Losses]:
        """What to differentiate, and what to tell."""
        if audio_only is None:
            losses = STEPS[self.config.stage](self.net, batch)
            return total_loss(losses, self.config.weights), losses
        voices = audio_only.to(self.fabric.device)
        found = smil_step(self.net.module, batch, voices, self.config.weights, self.config.smil)
        return found.objective, {"smil/audio_only": found.inner, "smil/faces": found.outer}

    def validate(self) -> dict[str, float]:
        """Score the averaged net on the validation speakers, keep it if it is the best, save what resuming needs."""
        net = self.average.module.eval()
        assert isinstance(net, SpeechNet)
        batches = [scores(net, self.validation[index].to(self.fabric.device)) for index in range(len(self.validation))]
        found = {f"validation/{name}": float(torch.stack([b[name] for b in batches]).mean()) for name in batches[0]}
        self._write(found)
        score = found["validation/" + KEPT_BY[self.config.stage]]
        if score > self.best:
            self.best = score
            about = {"training": as_mapping(self.config), "step": self.step, "validation": found}
            save_checkpoint(self.best_path, net, about)
        self._save()
        return found

    def _seed_step(self) -> None:
        """Augmentation and dropout depend on the step alone, so that a resumed run draws what it would have drawn."""
        seed = self.config.seed * 1_000_003 + self.step
        self.generator.manual_seed(seed)
        torch.manual_seed(seed)

    def _rate(self) -> float:
        """Linear warm-up, then half a cosine down to 0."""
        if self.step < self.config.warmup_steps:
            return (self.step + 1) / self.config.warmup_steps
        return 0.5 + 0.5 * math.cos(math.pi * self.step / self.config.num_steps)

    def _write(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.curves.add_scalar(name, value, self.step)

    def _save(self) -> None:
        state: dict[str, Any] = {
            "net": self.net.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "settings": self._lasting_settings(),
        }
        with files.whole(self._state_path) as partial:
            torch.save(state, partial)

    def _resume(self) -> None:
        if not self._state_path.exists():
            return
        state = torch.load(self._state_path, map_location=self.fabric.device, weights_only=True)
        own = self._lasting_settings()
        stored = own | state.get("settings", {})
        stored["model"] = asdict(from_mapping(ModelConfig, stored["model"]))  # as it was, with what came later
        if differing := [name for name in own if stored[name] != own[name]]:
            raise UsageError(
                f"The run in {self.run} has another {' and '.join(differing)}.",
                "Give the settings of that run, or choose another folder.",
            )
        self.net.module.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.best = state["step"], state["best"]

    def _lasting_settings(self) -> dict[str, Any]:
        """What a run cannot change on its way."""
        return {"stage": self.config.stage, "model": asdict(self.config.model)}


def load_matching(net: SpeechNet, state: Mapping[str, Tensor]) -> int:
    """Take over the weights that fit by name and shape; returns how many did."""
    own = net.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    net.load_state_dict(own | fitting)
    return len(fitting)


def _share(clips: dict[str, list[Path]], validation: bool) -> dict[str, list[Path]]:
    """Every tenth speaker without picture is kept for validation."""
    return {name: paths for index, (name, paths) in enumerate(clips.items()) if (index % 10 == 0) == validation}
