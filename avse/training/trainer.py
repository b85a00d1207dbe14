"""The state of a run and its single steps: averaged weights, validation on speakers never trained on, resuming.

On several devices every process runs all of it on its share of each batch; the first one validates, writes and reports.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from avse.data.augmentation.mouth import augment, jitter_av_offset
from avse.data.dataset import Batch, Batches
from avse.errors import AvseError
from avse.io.folders import check_folder
from avse.models.feature_noise import FeatureNoise
from avse.models.net import SpeechNet
from avse.training import distributed, run_folder
from avse.training.config import TrainConfig, as_mapping
from avse.training.data import TrainingData
from avse.training.run_log import RunLog, describe_scores, describe_step, make_loggers
from avse.training.run_state import check_moments, refusing_damage
from avse.training.smil_speech import smil_step
from avse.training.start import start_net
from avse.training.steps import STEPS, Losses, scores, total_loss
from avse.weights.checkpoint import save_checkpoint
from avse.weights.metadata import Provenance

VALIDATION_SEED = 1_000_003
RANK_SEED = 3_000_017
VALIDATION_BATCH_SIZE = 32
SELECTED_BY = {"lips": "lips/correlation", "speech": "improvement_db/seen", "smil": "improvement_db/seen"}
"""The validation score by which the best checkpoint of a stage is selected."""

OnLine = Callable[[str], None]


class Trainer:
    """Hold the state of a run: net, averaged net, optimiser, step, best score."""

    def __init__(
        self,
        config: TrainConfig,
        folders: TrainingData,
        run: Path,
        start_from: Sequence[Path] = (),
        on_line: OnLine | None = None,
    ) -> None:
        check_folder(run)
        run.mkdir(parents=True, exist_ok=True)
        self.config, self.run, self.step, self.best = config, run, 0, -math.inf
        self.best_path = run / run_folder.BEST
        self.validation_speakers = sorted(set(folders.validation_speakers))
        mixer = folders.mixer(config, bool(folders.validation_speakers))
        self._validation_settings = run_folder.validation_settings(config, mixer)
        self.validation = Batches(mixer, VALIDATION_SEED, VALIDATION_BATCH_SIZE, 0, config.num_validation_batches)
        state = run_folder.find_state(run, run_folder.fixed_settings(config, self.validation_speakers))
        net = self._new_net(folders, start_from, is_resumed=state is not None)
        loggers = make_loggers(config.loggers, run)
        self.fabric = distributed.make_fabric(config.num_devices, config.precision, config.stage, loggers)
        distributed.launch(self.fabric, config.num_devices)
        net.load_state_dict(self.fabric.broadcast(net.state_dict()))
        is_fused = config.precision != "16-mixed"  # its gradients could not be clipped
        optimiser = torch.optim.AdamW(
            net.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=is_fused
        )
        self.net, self.optimiser = self.fabric.setup(net, optimiser)
        self.net.mark_forward_method("predict_energies")
        self.average = AveragedModel(
            self.net.module, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True
        )
        self.generator = torch.Generator()
        if state is not None:
            self._resume(state)
        self._saved_at = time.monotonic()
        with_tensorboard = "tensorboard" in config.loggers
        self.run_log = RunLog(self.fabric, run, self.step, with_tensorboard, on_line) if self.is_first else None

    def _new_net(self, folders: TrainingData, start_from: Sequence[Path], is_resumed: bool) -> SpeechNet:
        """Return the net with which a run begins; one that is resumed gets its weights later."""
        torch.manual_seed(self.config.seed)
        net = SpeechNet(self.config.model)
        net.lip_noise = FeatureNoise(self.config.augment.feature_noise, self.config.augment.feature_noise_probability)
        self._fixed(net).requires_grad_(False)
        self.start: str | None = None
        self.start_notes: list[str] = []
        if is_resumed:
            return net
        self.start, self.start_notes = start_net(net, self.config, start_from, folders.talkers(False).values())
        return net

    def _fixed(self, net: SpeechNet) -> nn.ModuleList:
        """Return the parts of the net that are not trained."""
        return nn.ModuleList(part for name, part in net.named_children() if name in self.config.fixed_parts)

    @property
    def is_first(self) -> bool:
        """Return whether this is the process that validates, writes and reports."""
        return self.fabric.global_rank == 0

    def is_agreed(self, answer: bool) -> bool:
        """Return the first process's answer in all of them."""
        return bool(self.fabric.broadcast(answer))

    @property
    def lacks_best(self) -> bool:
        """Return whether all steps are done without a best checkpoint; asked in all processes."""
        return self.step >= self.config.num_steps and self.is_agreed(not self.best_path.exists())

    def close(self) -> None:
        """Write what is still to be written to the log."""
        if self.run_log is not None:
            self.run_log.close()

    def say(self, lines: Sequence[str]) -> None:
        """Write lines to the log, in the first process."""
        for line in lines:
            if self.run_log is not None:
                self.run_log.write_line(line)

    def log(self, values: dict[str, float]) -> None:
        """Write mean losses and speed to the log, in the first process."""
        values = values | {"learning_rate": self.optimiser.param_groups[0]["lr"]}
        self.say([describe_step(self.step, self.config.num_steps, values)])
        if self.run_log is not None:
            self.run_log.write_values(values, self.step)

    def learn(self, batch: Batch, audio_only: Batch | None = None) -> dict[str, float]:
        """Take one step on one batch, for SMIL with one of examples without video; return its losses."""
        self.net.train()
        self._fixed(self.net.module).eval()
        self._seed_step()
        crops, seen = self._augmented(batch)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * self._rate()
        moved = Batch(batch.mixture, batch.target, crops, seen).to(self.fabric.device)
        with self.fabric.autocast():
            objective, losses = self._losses(moved, audio_only)
        self.optimiser.zero_grad()
        self.fabric.backward(objective)
        if self.config.stage == "smil":
            distributed.average_gradients(self.fabric, self.net.module)
        distributed.average_buffers(self.fabric, self.net.module)
        self._clip_gradients()
        self.optimiser.step()
        self.average.update_parameters(self.net.module)
        self.step += 1
        return {f"train/{name}": float(value.detach()) for name, value in losses.items()}

    def _clip_gradients(self) -> None:
        """Limit the norm of the gradients. In 16-mixed, steps whose gradients overflow are skipped later."""
        may_overflow = self.config.precision == "16-mixed"
        norm = self.fabric.clip_gradients(
            self.net, self.optimiser, max_norm=self.config.clip_norm, error_if_nonfinite=False
        )
        if not may_overflow and norm is not None and not torch.isfinite(norm):
            raise AvseError(f"The gradients of step {self.step} are not finite.", "Use a lower learning_rate.")

    def _augmented(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return augmented mouth crops, and where they are visible."""
        if self.config.model.fusion == "none":
            return batch.crops, batch.seen
        settings = self.config.augment
        crops, seen = jitter_av_offset(batch.crops, batch.seen, settings.av_jitter_frames, self.generator)
        return augment(crops, settings, self.generator), seen

    def _losses(self, batch: Batch, audio_only: Batch | None) -> tuple[Tensor, Losses]:
        """Return what to differentiate, and the losses to report."""
        if audio_only is None:
            losses = STEPS[self.config.stage](self.net, batch)
            return total_loss(losses, self.config.weights), losses
        voices = audio_only.to(self.fabric.device)
        found = smil_step(self.net.module, batch, voices, self.config.weights, self.config.smil)
        return found.objective, {"smil/audio_only": found.inner, "smil/faces": found.outer}

    def validate(self) -> dict[str, float]:
        """Score the averaged net on the validation speakers, keep it if it is the best, save the run.

        All but the first process wait for it, and return nothing.
        """
        found = self._validate(self.run_log) if self.run_log is not None else {}
        self.fabric.barrier()
        return found

    def _validate(self, run_log: RunLog) -> dict[str, float]:
        net = self.average.module.eval()
        assert isinstance(net, SpeechNet)
        batches = [self.validation[index].to(self.fabric.device) for index in range(len(self.validation))]
        rows = [scores(net, batch) for batch in batches]
        found = {f"validation/{name}": float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}
        if not all(map(math.isfinite, found.values())):
            raise AvseError(f"The scores of step {self.step} are not finite.", "Use a lower learning_rate.")
        run_log.write_values(found, self.step)
        if self.config.stage != "lips":
            run_log.write_audio(net, batches[0], self.step)
        score = found["validation/" + SELECTED_BY[self.config.stage]]
        is_best = score > self.best
        if is_best:
            self.best = score
            provenance = Provenance(
                training=as_mapping(self.config), validation_speakers=tuple(self.validation_speakers),
                start=self.start, step=self.step, validation=found,
            )  # fmt: skip
            save_checkpoint(self.best_path, net, provenance)
        self.say([describe_scores(self.step, self.config.num_steps, found, is_best)])
        self.save()
        return found

    def save_if_due(self) -> None:
        """Save the run if that was last done more than ``save_minutes`` ago."""
        if time.monotonic() - self._saved_at >= 60 * self.config.save_minutes:
            self.save()

    def save(self) -> None:
        """Save what resuming needs."""
        state: dict[str, Any] = {
            "net": self.net.module.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "best": self.best,
            "start": self.start,
            "settings": run_folder.fixed_settings(self.config, self.validation_speakers),
            "validation": self._validation_settings,
        }
        run_folder.write_state(self.run, state)
        self._saved_at = time.monotonic()

    def _resume(self, state: Mapping[str, Any]) -> None:
        with refusing_damage(self.run / run_folder.STATE):
            self.net.module.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            check_moments(self.optimiser.state)
            for group in self.optimiser.param_groups:
                group["weight_decay"] = self.config.weight_decay  # the state holds that of the former session
            is_other = run_folder.has_other_mixtures(state.get("validation"), self._validation_settings)
        self.step, self.best, self.start = state["step"], state["best"], state.get("start")
        if not self.best_path.exists():
            self.best = -math.inf
        if is_other:
            self.best = -math.inf
            self.start_notes.append("the validation mixtures have changed: the best score so far does not count")

    def _seed_step(self) -> None:
        """Seed augmentation and dropout by the step, so that a resumed run draws what it would have drawn."""
        seed = self.config.seed * 1_000_003 + self.step + RANK_SEED * self.fabric.global_rank
        self.generator.manual_seed(seed)
        torch.manual_seed(seed)

    def _rate(self) -> float:
        """Return the share of the peak learning rate: linear warm-up, then half a cosine down to 0."""
        if self.step < self.config.warmup_steps:
            return (self.step + 1) / self.config.warmup_steps
        return 0.5 + 0.5 * math.cos(math.pi * self.step / self.config.num_steps)
