"""Read and describe the metadata of a checkpoint, without torch: the JSON in front of a safetensors file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from avse.config import ModelConfig, from_mapping
from avse.errors import InputError, UsageError, printable
from avse.io.paths import as_path
from avse.io.text_files import decode_text

FORMAT = "avse-1"
HINT = "Use a complete .safetensors file written by avse; pickled weights (.pt, .pth) are never read."
MAX_HEADER_BYTES = 10_000_000
MAX_FILE_BYTES = 2_000_000_000
DTYPE_BYTES = {"F16": 2, "BF16": 2, "F32": 4, "F64": 8, "I64": 8}
_NO_PARAMETERS = ("running_mean", "running_var", "num_batches_tracked", "imputer.priors")


@dataclass(frozen=True)
class Provenance:
    """Hold the origin of weights: all metadata of a checkpoint besides its format and its model.

    Attributes:
        name: of the model.
        data: what it was trained on.
        licence: what the licences of that data allow.
        made: how or when the file was made.
        training: the settings of the run, as `avse.training.config.as_mapping` gives them.
        validation_speakers: the validation speakers of the run, or of all averaged runs.
        start: SHA-256 of the checkpoints that training started from; None for random weights, "" where unknown.
        step: the training step of the weights.
        validation: scores on the validation speakers by name, such as "validation/improvement_db/seen".
        mean: of averaged weights, the share of each file by its SHA-256.
    """

    name: str = ""
    data: str = ""
    licence: str = ""
    made: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    validation_speakers: tuple[str, ...] = ()
    start: str | None = ""
    step: int | None = None
    validation: Mapping[str, float] = field(default_factory=dict)
    mean: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Provenance:
        """Build it from metadata; other keys are ignored. UsageError for a value of the wrong type."""
        known = {one.name for one in fields(cls)}
        found = {name: value for name, value in values.items() if name in known}
        for name, value in found.items():
            if not _is_valid(name, value):
                raise UsageError(f"The metadata value {name} is {str(value)[:60]!r}.", HINT)
        if "validation_speakers" in found:
            found["validation_speakers"] = tuple(found["validation_speakers"])
        return cls(**found)

    def as_mapping(self) -> dict[str, Any]:
        """Return the known values as plain values; fields that were never set are left out."""
        unset = asdict(Provenance())
        return {name: value for name, value in asdict(self).items() if value != unset[name]}

    @classmethod
    def of_pruned(cls, sha256: str) -> Provenance:
        """Return the provenance of weights pruned from those of a file."""
        return cls(start=sha256, step=0)

    @classmethod
    def of_mean(cls, parts: Sequence[Provenance], shares: Mapping[str, float]) -> Provenance:
        """Return the provenance of a weighted mean: settings and step of the first part, validation speakers of all."""
        speakers = sorted({name for part in parts for name in part.validation_speakers})
        return cls(training=parts[0].training, validation_speakers=tuple(speakers), step=parts[0].step, mean=shares)

    def of_release(self, name: str, data: str, licence: str) -> Provenance:
        """Return the provenance of the same weights as a model to share."""
        kept = {key: getattr(self, key) for key in ("training", "validation_speakers", "start", "step")}
        return Provenance(name, data, licence, validation=self.validation, mean=self.mean, **kept)


@dataclass(frozen=True)
class Metadata:
    """Hold the facts about a checkpoint file: its size, number of parameters, tensors and metadata."""

    path: Path
    num_bytes: int
    num_parameters: int
    about: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    dtypes: Mapping[str, str] = field(default_factory=dict, repr=False)

    @cached_property
    def provenance(self) -> Provenance:
        """Return where the weights come from."""
        return Provenance.from_mapping(self.about)

    @cached_property
    def config(self) -> ModelConfig:
        """Return the settings of the network. UsageError where they cannot be used."""
        return from_mapping(ModelConfig, self.about["model"])

    @property
    def fusion(self) -> str:
        """Return the name of the fusion."""
        return self.config.fusion

    @property
    def scores(self) -> str:
        """Return the gain on the validation speakers as text; empty if the file has none."""
        found = self.provenance.validation
        words = {"unseen": "audio only"} if self.fusion == "none" else {"seen": "with video", "unseen": "without"}
        gains = {word: found.get(f"validation/improvement_db/{kind}") for kind, word in words.items()}
        texts = [f"{gain:+.1f} {word}" for word, gain in gains.items() if isinstance(gain, float)]
        return f"SI-SDR {', '.join(texts)} (dB)" if texts else ""


def read_metadata(path: str | Path) -> Metadata:
    """Read the header alone, and check it against the size of the file.

    Raises InputError for a file that is no checkpoint of avse, is not whole, or is larger than any net of avse.
    """
    path = as_path(path, "path")
    try:
        with path.open("rb") as file:
            num_bytes = os.fstat(file.fileno()).st_size
            tensors = _read_header(file, num_bytes)
            num_data_bytes = num_bytes - file.tell()
        about = dict(json.loads(tensors.pop("__metadata__")["avse"]))
        if about["format"] != FORMAT:
            raise InputError(f"{path} has the unknown format {str(about['format'])[:40]!r}.", "Update avse.")
        if not isinstance(about["model"], dict):
            raise ValueError("it does not name its model")
        shapes, dtypes = _check_tensors(tensors, num_data_bytes)
        count = sum(math.prod(shape) for name, shape in shapes.items() if not name.endswith(_NO_PARAMETERS))
        found = Metadata(path, num_bytes, count, about, shapes, dtypes)
        found.provenance, found.config  # noqa: B018 - both are checked
        return found
    except UsageError as error:
        reason = printable(error.message)
        raise InputError(
            f"{path} does not contain a network that this version of avse can read: {reason}", "Update avse."
        ) from error
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = printable(" ".join(f"{type(error).__name__} {error}".split())[:200])
        raise InputError(f"{path} is not an avse checkpoint: {reason}", HINT) from error


def _read_header(file: BinaryIO, num_bytes: int) -> dict[str, Any]:
    """Read the header of a safetensors file of so many bytes. ValueError if there is none."""
    if num_bytes > MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {MAX_FILE_BYTES / 1e9:.0f} GB")
    (size,) = struct.unpack("<Q", file.read(8))
    if not 0 < size <= min(num_bytes - 8, MAX_HEADER_BYTES):
        raise ValueError("it has no safetensors header")
    return dict(json.loads(decode_text(file.read(size))))


def _check_tensors(tensors: Mapping[str, Any], num_bytes: int) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """Return shape and type of each tensor. ValueError unless together they take up just the bytes there are."""
    shapes, dtypes, taken = {}, {}, 0
    for name, kind in tensors.items():
        shape, dtype = tuple(kind["shape"]), str(kind["dtype"])
        first, last = kind["data_offsets"]
        if dtype not in DTYPE_BYTES or not all(type(length) is int and length >= 0 for length in (*shape, first, last)):
            raise ValueError(f"{name} has the type {dtype} and the shape {list(shape)}")
        if last - first != math.prod(shape) * DTYPE_BYTES[dtype]:
            raise ValueError(f"{name} has {last - first} bytes for the shape {list(shape)}")
        shapes[name], dtypes[name], taken = shape, dtype, taken + last - first
    if taken != num_bytes:
        raise ValueError(f"its tensors take up {taken} of {num_bytes} bytes: it is incomplete")
    return shapes, dtypes


def _is_valid(name: str, value: Any) -> bool:
    """Return whether a value has the type of the field of `Provenance` of that name."""
    if name in ("training", "validation", "mean"):
        is_numbers = name == "training" or (
            isinstance(value, dict)
            and all(isinstance(number, int | float) and not isinstance(number, bool) for number in value.values())
        )
        return isinstance(value, Mapping) and is_numbers
    if name == "validation_speakers":
        return isinstance(value, list | tuple) and all(isinstance(speaker, str) for speaker in value)
    if name == "step":
        return value is None or (isinstance(value, int) and not isinstance(value, bool))
    return isinstance(value, str) or (value is None and name == "start")


def sha256(path: Path) -> str:
    """Compute the hash of a whole file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
