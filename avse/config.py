"""Settings that are stored in a checkpoint, checked when they are created."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from avse.errors import UsageError, printable, short_repr

SAMPLE_RATE = 16000
VIDEO_FPS = 25
SAMPLES_PER_FRAME = SAMPLE_RATE // VIDEO_FPS
NUM_BANDS = 20
CHOICES = {
    "mask": ("magnitude", "complex"),
    "imputer": ("none", "paper", "reference", "blended"),
    "regulariser": ("none", "add", "multiply"),
}

RANGES = {
    "compression": (0.01, 2.0),
    "attention_heads": (0, 64),
    "bottleneck_rounds": (1, 64),
    "lip_width": (1, 256),
    "stem_frames": (1, 25),
    "num_priors": (1, 4096),
    "regulariser_places": (1, 2),
}
"""Lowest and highest value of each size, so that no settings ask for a network too large for any machine."""
MAX_AUDIO_CHANNELS = 2048

LIMITS = {
    "learning_rate": (0, 10),
    "weight_decay": (0, 10),
    "clip_norm": (1e-9, 1e9),
    "ema_decay": (0, 1),
    "seed": (0, 2**31 - 1),
    **dict.fromkeys(("num_steps", "validate_every", "log_every", "warmup_steps", "max_clips_per_speaker"), (0, 10**9)),
    **dict.fromkeys(("batch_size", "num_frames", "num_validation_batches"), (1, 100_000)),
    "num_workers": (-1, 1024),
    "num_devices": (0, 1024),
    "save_minutes": (0, 10_000),
    **dict.fromkeys(("inner_rate", "audio_only_weight"), (0, 1000)),
    **dict.fromkeys(("shift", "scale", "tilt_radians", "yaw_radians", "gamma"), (0, 10)),
}
"""Lowest and highest value of settings that are read from a file."""
SUFFIX_LIMITS = {"_probability": (0, 1), "_db": (-200, 200), "_frames": (-100_000, 100_000), "_pixels": (1, 10_000)}
"""The same by the last word of a setting's name; ranges lie within them."""

Settings = TypeVar("Settings")
_ACCEPTED: dict[type, Any] = {float: (int, float), tuple: (list, tuple)}


@dataclass(frozen=True)
class ModelConfig:
    """Hold all settings that are needed to rebuild the network."""

    fusion: str = "mmtm"
    """Fusion of audio and video: a name in `avse.models.fusion.FUSIONS`; "none" is the audio-only twin."""
    fusion_depths: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Depths of the fusion blocks: 0 to 3, after that one of the last four stages; 4, before the bottleneck. A fusion
    with one site is used at depth 4 only."""
    hop: int = 320
    """STFT hop in samples at 16 kHz, 160 or 320; the window is 640, one video frame."""
    compression: float = 0.3
    """Power to which the magnitude is raised before the network sees it."""
    audio_channels: tuple[int, ...] = (16, 32, 48, 64, 96, 128)
    """Channels of the audio encoder's stages, each of which halves the number of frequency bins."""
    attention_heads: int = 0
    """Heads of the bottleneck's self-attention over the frames of the window; 0: none."""
    bottleneck_rounds: int = 1
    """Number of context blocks in the bottleneck: temporal convolutions, then attention."""
    lip_width: int = 16
    """Channels of the lip ResNet-18's first stage (64 in the original), doubled at each of the three others."""
    lip_side: int = 44
    """Side in pixels to which the 88-pixel crops are averaged before the lip stream: 88 or 44."""
    stem_frames: int = 5
    """Video frames stacked into the lip stream's first convolution."""
    mask: str = "magnitude"
    """"magnitude": a gain in (0, 1) for each bin; "complex": a gain and a phase rotation."""
    imputer: str = "none"
    """Replacement of the lip features where no mouth is visible: "paper" or "reference", SMIL's two forms; "blended",
    a form of our own; "none": black frames."""
    num_priors: int = 64
    """Lip features that the imputer mixes, centres of K-means over the training clips."""
    regulariser: str = "none"
    """SMIL's noise on the fused features, in training: "add" or "multiply"; "none"."""
    regulariser_places: int = 1
    """Where the regulariser acts: 1, after the last fusion; 2, after the bottleneck too. The paper and its code have
    two places."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("fusion_depths", "audio_channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.fusion_depths or not set(self.fusion_depths) <= set(range(5)):
            raise UsageError(
                f"fusion_depths is {list(self.fusion_depths)}.", "Use numbers from 0 to 3 (stages) and 4 (bottleneck)."
            )
        if self.hop not in (160, 320):
            raise UsageError(f"hop is {self.hop} samples.", "Use 160 or 320.")
        if self.lip_side not in (44, 88):
            raise UsageError(f"lip_side is {self.lip_side}.", "Use 88 or 44.")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(f"Unknown {name} {getattr(self, name)!r}.", f"Use one of: {', '.join(known)}.")
        if self.fusion == "none" and self.imputer != "none":
            raise UsageError(
                "An audio-only network has no lip features to impute.", "Use another fusion, or imputer none."
            )
        for name, (low, high) in RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"{name} is {getattr(self, name)}.", f"Use a number from {low} to {high}.")
        if self.stem_frames % 2 == 0:
            raise UsageError(
                f"stem_frames is {self.stem_frames}.", "Use an odd number: as many frames before as after."
            )
        self._check_audio_channels()

    def _check_audio_channels(self) -> None:
        if not 4 <= len(self.audio_channels) <= 6:
            raise UsageError(
                f"audio_channels lists {len(self.audio_channels)} stages.",
                "List 4 to 6: the lip stream joins at the last four, and 320 bins can be halved six times.",
            )
        if not all(1 <= channels <= MAX_AUDIO_CHANNELS for channels in self.audio_channels):
            raise UsageError(
                f"audio_channels is {list(self.audio_channels)}.", f"Use numbers from 1 to {MAX_AUDIO_CHANNELS}."
            )
        if self.attention_heads and 2 * self.audio_channels[-1] % self.attention_heads:
            raise UsageError(
                f"{2 * self.audio_channels[-1]} channels cannot be divided among {self.attention_heads} heads.",
                "Set attention_heads to a divisor of twice the last audio channel, or to 0.",
            )


def from_mapping(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    """Build settings from a mapping.

    Raises UsageError for an unknown key, or a value that is of another type or not finite; it names them.
    """
    defaults = {field.name: field.default for field in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    if unknown := sorted({str(name) for name in values if name not in defaults}):
        raise UsageError(
            f"{kind.__name__} has no setting {printable(', '.join(unknown))[:200]}.",
            f"Valid names: {', '.join(sorted(defaults))}.",
        )
    for name, value in values.items():
        if defaults[name] is not MISSING:
            _check_type(name, value, hints[name], defaults[name])
    settings = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    for name in values:
        _check_limits(name, getattr(settings, name))
    return settings


def check_types(settings: Any) -> None:
    """Raise UsageError for a field of settings that is not of the type of its default."""
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        _check_type(field.name, getattr(settings, field.name), hints[field.name], field.default)


def _check_type(name: str, value: Any, kind: Any, default: Any) -> None:
    """Raise UsageError for a value that is not of the type of its default, or of ``kind`` where there is none."""
    if default is MISSING:
        fits, hint = isinstance(value, get_origin(kind) or kind), f"Use a {kind.__name__}."
    else:
        fits, hint = _is_a(value, type(default)), f"Use the form of its default, {default!r}."
    if not (fits and _has_parts(value, kind)):
        raise UsageError(f"{name} is {short_repr(value)}.", hint)


def _check_limits(name: str, value: Any) -> None:
    """Raise UsageError for a number that lies outside the limits for its name."""
    by_suffix = [limits for suffix, limits in SUFFIX_LIMITS.items() if name.endswith(suffix)]
    low, high = LIMITS.get(name) or next(iter(by_suffix), (-math.inf, math.inf))
    numbers = [part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, int | float)]
    if not all(low <= number <= high for number in numbers):
        raise UsageError(f"{name} is {short_repr(value)}.", f"Use numbers from {low:g} to {high:g}.")


def _is_a(value: Any, kind: type) -> bool:
    """Return whether a value is of a type; numbers must be finite and fit into 64 bits, and are not booleans."""
    if kind in (int, float):
        number = isinstance(value, _ACCEPTED.get(kind, kind)) and not isinstance(value, bool)
        return number and (math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63)
    return isinstance(value, _ACCEPTED.get(kind, kind))


def _has_parts(value: Any, hint: Any) -> bool:
    """Return whether a tuple has elements of these types, and the right number if it is fixed, as in a range."""
    if get_origin(hint) is not tuple:
        return True
    parts = get_args(hint)
    if parts[-1] is Ellipsis:
        parts = parts[:1] * len(value)
    return len(value) == len(parts) and all(map(_is_a, value, parts))
