"""Small folders of pairs for tests of `avse evaluate`, and what one item of them comes to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import soundfile

from avse.data.synthetic.clips import street_noise
from avse.data.synthetic.speech import speak
from avse.evaluation.corpora.corpus import Item
from avse.evaluation.scoring import Evaluator, Setup, Task
from avse.evaluation.systems import parse_systems

RATE = 16000
KEYS = {
    "item", "subset", "method", "status", "reason", "seconds", "elapsed_seconds", "scores", "mixture", "reference",
    "estimate", "picture", "video", "stage_seconds",
}  # fmt: skip
COPY = f'external:{sys.executable} -c "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])" {{wav}} {{out}}'


def write_pair(folder: Path, name: str, seed: int = 0, seconds: float = 1.0) -> tuple[Path, Path]:
    clean = speak(seconds, seed=seed).waveform
    noisy = clean + 0.5 * street_noise(seconds, seed + 1)
    paths = folder / "noisy" / f"{name}.wav", folder / "clean" / f"{name}.wav"
    for path, waveform in zip(paths, (noisy, clean), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, waveform, RATE)
    return paths


def write_pairs(folder: Path) -> Path:
    """Three pairs of a second each: a, b and c."""
    for seed, name in enumerate("abc"):
        write_pair(folder, name, seed)
    return folder


def rows(output: Path, item: Item, *specs: str, **settings: Any) -> list[dict[str, Any]]:
    """What one item comes to."""
    methods = tuple(parse_systems(specs))
    options = {"device": "cpu", "num_jobs": 2, "keep_estimates": True, "with_dnsmos": False} | settings
    evaluator = Evaluator(Setup(output, methods, **options))
    return evaluator(Task(item, tuple(method.label for method in methods)), lambda stage, done, total: None)


def assert_failed(row: dict[str, Any], *words: str) -> None:
    assert (row["status"], set(row)) == ("failed", KEYS)
    for word in words:
        assert word in row["reason"]
