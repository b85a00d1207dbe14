"""Settings of a training run: what `configs/*.yaml` may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from avse.config import ModelConfig, from_mapping
from avse.data.augmentation.mouth import LipAugment
from avse.data.mix_config import MixConfig
from avse.errors import UsageError
from avse.training.smil import SmilConfig

LOSS_WEIGHTS = {
    "spec/magnitude": 20.0,
    "spec/lost": 0.0,
    "spec/complex": 10.0,
    "wave/si_sdr": 0.1,
    "wave/disturbance": 0.0,
    "wave/confusion": 0.0,
    "lips/energy": 1.0,
    "smil/kl": 0.0,
}
STAGES = ("lips", "speech", "smil")
PARTS = ("audio", "lips", "fusions", "imputer", "regulariser")
"""What a net is made of, by the names of its weights."""
SMIL_MODEL = {"imputer": "reference", "regulariser": "multiply"}
"""What stage smil gives the net where the settings say nothing about it."""


@dataclass(frozen=True)
class TrainConfig:
    """One run, whole: the same settings and prepared clips give the same weights on the same machine."""

    stage: str = "speech"
    """"lips" teaches the lip stream alone to tell the sound's band energies; "speech" teaches the whole net; "smil"
    does so in meta steps, each with examples that have a picture and examples that have none."""
    num_steps: int = 20000
    batch_size: int = 16
    """Examples in a step, all devices together: each takes an equal share."""
    learning_rate: float = 1e-3
    """Highest rate, reached after the warm-up; it falls to 0 along a cosine."""
    warmup_steps: int = 300
    weight_decay: float = 0.01
    clip_norm: float = 5.0
    ema_decay: float = 0.998
    """Decay of the moving average of the weights, which is what is validated and kept."""
    validate_every: int = 500
    num_validation_batches: int = 4
    num_workers: int = 0
    """Processes that load batches ahead, for each device."""
    num_devices: int = 1
    """GPUs, or processes where there is none; under torchrun as many as it started."""
    precision: str = "32-true"
    start_parts: tuple[str, ...] = ()
    """What a new run takes over from the checkpoints it starts from, such as audio and lips; all parts if empty."""
    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=lambda: dict(LOSS_WEIGHTS))
    model: ModelConfig = field(default_factory=ModelConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    augment: LipAugment = field(default_factory=LipAugment)
    smil: SmilConfig = field(default_factory=SmilConfig)

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise UsageError(f"Unknown stage {self.stage!r}.", f"Use one of: {', '.join(STAGES)}.")
        if self.stage == "lips" and self.model.fusion == "none":
            raise UsageError("An audio-only net has no lips to teach.", "Use another preset.")
        if self.stage == "smil" and self.model.imputer == "none":
            raise UsageError("Stage smil needs an imputer.", "Set imputer to reference or paper, below model.")
        for name in ("num_steps", "batch_size", "validate_every", "num_validation_batches", "num_devices"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}.", "Use 1 or more.")
        if self.batch_size % self.num_devices:
            raise UsageError(
                f"A batch of {self.batch_size} has no equal shares for {self.num_devices} devices.",
                f"Set batch_size to a multiple of {self.num_devices}.",
            )
        if unknown := sorted(set(self.start_parts) - set(PARTS)):
            raise UsageError(f"A net has no {', '.join(unknown)}.", f"Its parts are: {', '.join(PARTS)}.")
        if unknown := sorted(set(self.weights) - set(LOSS_WEIGHTS)):
            raise UsageError(f"Unknown losses: {', '.join(unknown)}.", f"There are: {', '.join(LOSS_WEIGHTS)}.")


def read_config(path: Path | None, **overrides: Any) -> TrainConfig:
    """Settings from a YAML file (or the defaults), with single values replaced; ``preset`` names the fusion."""
    import yaml

    try:
        values = dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path else {}
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "Give a YAML file like those in configs/.") from error
    preset = overrides.pop("preset", None)
    values |= {name: value for name, value in overrides.items() if value is not None}
    model = _section(values, "model") | ({"fusion": preset} if preset else {})
    if values.get("stage") == "smil":
        model = SMIL_MODEL | model
    parts: dict[str, Any] = {"model": from_mapping(ModelConfig, model)}
    for name, kind in (("mix", MixConfig), ("augment", LipAugment), ("smil", SmilConfig)):
        parts[name] = from_mapping(kind, _section(values, name))
    weights = LOSS_WEIGHTS | _section(values, "weights")
    return from_mapping(TrainConfig, values | parts | {"weights": weights})


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Take the settings below a name out of a file's values; nothing below it means the defaults."""
    found = values.pop(name, None) or {}
    if not isinstance(found, dict):
        raise UsageError(f"{name} is {found!r}.", "It is a group of settings: give names and values below it.")
    return found


def as_mapping(config: TrainConfig) -> dict[str, Any]:
    """Settings as plain values, for a checkpoint's header."""
    return asdict(config)
