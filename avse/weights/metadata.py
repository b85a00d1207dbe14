"""What a checkpoint says of itself, read without torch: the JSON in front of a safetensors file."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avse.errors import InputError

FORMAT = "avse-1"
HINT = "Name a whole .safetensors file written by avse; pickled weights (.pt, .pth) are never read."
_MAX_HEADER_BYTES = 50_000_000
_NO_PARAMETERS = ("running_mean", "running_var", "num_batches_tracked", "imputer.priors")


@dataclass(frozen=True)
class Metadata:
    """A checkpoint file: its size, the number of its parameters, and all that its header says."""

    path: Path
    num_bytes: int
    num_parameters: int
    about: Mapping[str, Any]

    @property
    def fusion(self) -> str:
        """How the net joins sound and picture."""
        return str(self.about.get("model", {}).get("fusion", "?"))

    @property
    def scores(self) -> str:
        """The gain on the validation speakers in a few words; empty where the file does not tell."""
        found = self.about.get("validation", {})
        words = {"unseen": "by sound alone"} if self.fusion == "none" else {"seen": "with picture", "unseen": "without"}
        gains = {word: found.get(f"validation/improvement_db/{kind}") for kind, word in words.items()}
        told = [f"{gain:+.1f} {word}" for word, gain in gains.items() if isinstance(gain, float)]
        return f"SI-SDR {', '.join(told)} (dB)" if told else ""


def read_metadata(path: Path) -> Metadata:
    """Read the header alone; InputError for a file that is not a checkpoint of ours."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _MAX_HEADER_BYTES:
                raise ValueError("no safetensors file")
            tensors = json.loads(file.read(length))
        about = json.loads(tensors.pop("__metadata__")["avse"])
        if about["format"] != FORMAT:
            raise InputError(f"{path} has the unknown format {about['format']!r}.", "Update avse.")
        shapes = [kind["shape"] for name, kind in tensors.items() if not name.endswith(_NO_PARAMETERS)]
        return Metadata(path, path.stat().st_size, sum(map(math.prod, shapes)), about)
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not an avse checkpoint: {type(error).__name__} {error}", HINT) from error


def sha256(path: Path) -> str:
    """Hash of a whole file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
