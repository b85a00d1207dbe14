"""Settings of a training run, as in configs/*.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from avse.config import ModelConfig, check_types, from_mapping
from avse.data.augmentation.mouth import LipAugment
from avse.data.mix_config import MixConfig
from avse.errors import UsageError
from avse.io.schema import is_number
from avse.training.config_files import merge, parse_assignments, read_values, rename_keys
from avse.training.smil import SmilConfig

LOSS_WEIGHTS = {
    "spec/magnitude": 20.0,
    "spec/asymmetric": 0.0,
    "spec/complex": 10.0,
    "wave/si_sdr": 0.1,
    "wave/pesq": 0.0,
    "wave/stoi": 0.0,
    "lips/energy": 1.0,
    "smil/kl": 0.0,
}
STAGES = ("lips", "speech", "smil")
LOGGERS = ("tensorboard", "csv", "wandb")
PARTS = ("audio", "lips", "fusions", "imputer", "regulariser", "regulariser_bottleneck")
"""Parts of the network: the first words of its weights' names."""
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
RESNET_WIDTH = 64
SMIL_MODEL = {"imputer": "reference", "regulariser": "multiply"}
"""Defaults of the model in stage smil."""


@dataclass(frozen=True)
class TrainConfig:
    """Hold all settings of a run. The same settings and clips give the same weights on the same machine."""

    stage: str = "speech"
    """"lips": train the lip stream alone to predict the target's band energies; "speech": the whole network; "smil":
    the whole network in SMIL's meta steps, on examples with and without video."""
    num_steps: int = 20000
    batch_size: int = 16
    """Examples per step, over all devices; each device takes an equal share."""
    learning_rate: float = 1e-3
    """Peak rate, reached after a linear warm-up; it falls to 0 along half a cosine."""
    warmup_steps: int = 300
    weight_decay: float = 0.01
    clip_norm: float = 5.0
    ema_decay: float = 0.998
    """Decay of the moving average of the weights; the average is validated and kept."""
    validate_every: int = 500
    num_validation_batches: int = 4
    save_minutes: float = 5.0
    """Time between two saves of the run's state, besides those at validations."""
    log_every: int = 20
    """Steps from one line of the log to the next."""
    loggers: tuple[str, ...] = ("tensorboard", "csv")
    """Where values are written besides the text log: tensorboard, csv, wandb (Weights & Biases)."""
    num_workers: int = -1
    """Loader processes per device; -1: by the number of cores."""
    num_devices: int = 1
    """GPUs, or CPU processes where there is no GPU; under torchrun the number that it started."""
    precision: str = "32-true"
    """"32-true", or "bf16-mixed" or "16-mixed" with most operations in half precision; 16-mixed needs a GPU."""
    start_parts: tuple[str, ...] = ()
    """Parts that a new run copies from the checkpoints it starts from, such as audio and lips; all if empty."""
    fixed_parts: tuple[str, ...] = ()
    """Parts that are not trained, such as lips: their weights and running statistics stay those of the start."""
    lips_from: str = ""
    """File with the weights of torchvision's ResNet-18 (.pth) from which a new run's lip stream starts; needs lip_width
    64. Empty: none."""
    seed: int = 0
    weights: Mapping[str, float] = field(default_factory=lambda: dict(LOSS_WEIGHTS))
    model: ModelConfig = field(default_factory=ModelConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    augment: LipAugment = field(default_factory=LipAugment)
    smil: SmilConfig = field(default_factory=SmilConfig)

    def __post_init__(self) -> None:
        check_types(self)
        if self.stage not in STAGES:
            raise UsageError(f"Unknown stage {self.stage!r}.", f"Use one of: {', '.join(STAGES)}.")
        if self.stage == "lips" and self.model.fusion == "none":
            raise UsageError("An audio-only network has no lip stream to train.", "Use another fusion.")
        if self.stage == "lips" and "lips" in self.fixed_parts:
            raise UsageError("Stage lips cannot train a lip stream that is fixed.", "Remove lips from fixed_parts.")
        if self.lips_from and (self.model.fusion == "none" or self.model.lip_width != RESNET_WIDTH):
            raise UsageError(
                f"lips_from needs a lip stream of width {RESNET_WIDTH}, that of ResNet-18.",
                f"Set lip_width: {RESNET_WIDTH} and a fusion other than none, below model.",
            )
        if self.stage == "smil" and self.model.imputer == "none":
            raise UsageError("Stage smil needs an imputer.", "Set imputer to reference or paper, below model.")
        for name in ("num_steps", "batch_size", "validate_every", "num_validation_batches", "num_devices", "log_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}.", "Use 1 or more.")
        if self.precision not in PRECISIONS:
            raise UsageError(f"Unknown precision {self.precision!r}.", f"Use one of: {', '.join(PRECISIONS)}.")
        if self.batch_size % self.num_devices:
            raise UsageError(
                f"batch_size {self.batch_size} cannot be divided equally among {self.num_devices} devices.",
                f"Set batch_size to a multiple of {self.num_devices}.",
            )
        if unknown := sorted({*self.start_parts, *self.fixed_parts} - set(PARTS)):
            raise UsageError(f"A network has no part {', '.join(unknown)}.", f"Its parts are: {', '.join(PARTS)}.")
        if unknown := sorted(set(map(str, self.loggers)) - set(LOGGERS)):
            raise UsageError(f"Unknown loggers: {', '.join(unknown)[:200]}.", f"Use one of: {', '.join(LOGGERS)}.")
        if unknown := sorted(set(map(str, self.weights)) - set(LOSS_WEIGHTS)):
            raise UsageError(f"Unknown losses: {', '.join(unknown)[:200]}.", f"Use one of: {', '.join(LOSS_WEIGHTS)}.")


def read_config(given: Path | str | None, assignments: Iterable[str] = (), **overrides: Any) -> TrainConfig:
    """Read the settings of a run.

    Args:
        given: a YAML file or the name of a shipped one (`avse.training.config_files.find_config`); None: the defaults.
        assignments: changes such as ``mix.num_frames=75``.
        overrides: more changes, None for no change; ``preset`` sets the fusion.

    Raises:
        UsageError: there is no such file, or a setting is unknown or has an invalid value.
    """
    return config_from_values(read_values(given) if given else {}, assignments, **overrides)


def config_from_values(values: Mapping[str, Any], assignments: Iterable[str] = (), **overrides: Any) -> TrainConfig:
    """Return the settings that plain nested values describe, with the changes of `read_config`."""
    values = merge(rename_keys(values), parse_assignments(assignments))
    preset = overrides.pop("preset", None)
    values |= {name: value for name, value in overrides.items() if value is not None}
    model = _section(values, "model") | ({"fusion": preset} if preset else {})
    if values.get("stage") == "smil":
        model = SMIL_MODEL | model
    parts: dict[str, Any] = {"model": from_mapping(ModelConfig, model)}
    for name, kind in (("mix", MixConfig), ("augment", LipAugment), ("smil", SmilConfig)):
        parts[name] = from_mapping(kind, _section(values, name))
    weights = LOSS_WEIGHTS | _section(values, "weights")
    for name, value in weights.items():
        if not is_number(value):
            raise UsageError(f"The weight of the loss {name} is {str(value)[:60]!r}.", "Use a number.")
    return from_mapping(TrainConfig, values | parts | {"weights": weights})


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Remove and return one group of settings; an empty group means the defaults."""
    found = values.pop(name, None) or {}
    if not isinstance(found, dict):
        hint = "It is a group of settings: write names and values below it."
        raise UsageError(f"{name} is {str(found)[:200]!r}.", hint)
    return found


def as_mapping(config: TrainConfig) -> dict[str, Any]:
    """Return settings as nested plain values, for a checkpoint's header."""
    return asdict(config)


def to_yaml(config: TrainConfig) -> str:
    """Return all settings as YAML that `read_config` reads back."""
    import yaml

    plain = json.loads(json.dumps(as_mapping(config)))  # tuples become lists
    return str(yaml.safe_dump(plain, sort_keys=False, default_flow_style=None, width=120))
