"""The request for a folder of mixtures."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from avse.data import corpus
from avse.data.mixtures.recipes import Clips, MixtureConfig, outside
from avse.errors import UsageError
from avse.io import formats
from avse.io.listing import list_recordings

FOLDERS = {"target": "s1", "talker1": "s2", "talker2": "s3", "talker3": "s4", "talker4": "s5", "noise": "noise"}
LAYOUTS = ("avse", "muse")


@dataclass(frozen=True)
class MixtureRequest:
    """Hold the request to `make_mixtures`."""

    source: Path
    output: Path
    config: MixtureConfig
    count: int
    noise: Path | None = None
    layout: str = "avse"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UsageError(f"Unknown layout {self.layout!r}.", f"Use one of: {', '.join(LAYOUTS)}.")
        if (self.noise is None) != (self.config.noise_db is None):
            raise UsageError("Noise needs both files and a level.", "Use both: --noise DIR --noise-db -10 0")
        if self.layout == "muse" and (self.noise or self.config.num_speakers < 2):
            raise UsageError("MuSE-style mixtures contain talkers only, no noise.", "Omit --noise.")
        if self.config.num_speakers > len(FOLDERS) - 1:
            raise UsageError(f"{self.config.num_speakers} speakers are too many.", f"Use at most {len(FOLDERS) - 1}.")
        if self.output.exists() and not self.output.is_dir():
            raise UsageError(f"{self.output} is a file, not a folder.", "Choose a folder for the mixtures.")


def survey(request: MixtureRequest) -> dict[str, str]:
    """Return the files among clips and noises that are not recordings, and why each was skipped."""
    found = dict(corpus.survey(request.source, request.output, corpus.TEST_ROOTS).passed_over)
    if request.noise:
        noises = list_recordings(request.noise, accept=formats.is_audio)
        found |= corpus.without(noises, request.noise, request.output).passed_over
    return found


def noises_by_kind(noise: Path, output: Path) -> dict[str, list[Path]]:
    """Return noise files by their folder; files in ``output`` are left out."""
    kinds: dict[str, list[Path]] = {}
    listed = list_recordings(noise, accept=formats.is_audio)
    for path in sorted(outside(output, noise, [noise / name for name in listed.names])):
        kinds.setdefault(path.parent.relative_to(noise).as_posix(), []).append(path)
    if not kinds:
        raise UsageError(f"No audio files in {noise}.", "Use --noise with a folder of .wav, .flac, .ogg or .mp3 files.")
    return kinds


def settings_text(request: MixtureRequest, clips: Clips, noises: Clips) -> str:
    """Return the settings of a folder of mixtures as JSON."""
    values = {"layout": request.layout, "clips_sha256": _names_sha256(request.source, clips)} | asdict(request.config)
    if request.noise:
        values["noises_sha256"] = _names_sha256(request.noise, noises)
    return json.dumps(values, indent=2) + "\n"


def _names_sha256(root: Path, clips: Clips) -> str:
    """Return the hash of the names of all clips, relative to their folder."""
    names = "\n".join(path.relative_to(root).as_posix() for paths in clips.values() for path in paths)
    return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()
