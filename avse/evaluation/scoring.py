"""Score one item of an evaluation: run every system on it; each gives a row, also after a failure."""

from __future__ import annotations

import hashlib
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avse.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from avse.errors import AvseError, one_line
from avse.evaluation import dnsmos
from avse.evaluation.corpora.corpus import Item, Recipe
from avse.evaluation.metrics import WITH_REFERENCE, score
from avse.evaluation.rows import Row
from avse.evaluation.systems import UNPROCESSED, Case, Runner, System
from avse.io import atomic, audio_files
from avse.io.folders import check_inside
from avse.parallel import local
from avse.progress import Report

MAX_NAME_BYTES = 150


@dataclass(frozen=True)
class Task:
    """Name an item, the systems that have no row for it yet, and what identifies its files."""

    item: Item
    labels: tuple[str, ...]
    fingerprint: str | None = None


@dataclass(frozen=True)
class Setup:
    """Hold the settings of every worker."""

    output: Path
    methods: tuple[System, ...]
    device: str
    num_jobs: int
    keep_estimates: bool
    with_dnsmos: bool


class Evaluator:
    """Load the networks once per process, then turn tasks into rows."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._runner = Runner(setup.methods, setup.device, local.threads_for(setup.num_jobs))

    def __call__(self, task: Task, report: Report) -> list[Row]:
        began = time.perf_counter()
        with atomic.scratch_folder() as scratch:
            case = Case(task.item, scratch, made_path(self._setup.output, task.item))
            methods = [method for method in self._setup.methods if method.label in task.labels]
            rows = [self._row(method, case, scratch) for method in methods]
        if rows:
            named = sum(sum(row["stage_seconds"].values()) for row in rows)
            rows[0]["stage_seconds"]["other"] = time.perf_counter() - began - named
        return rows

    def _row(self, method: System, case: Case, scratch: Path) -> Row:
        """Return a row in any case; a failure becomes its reason."""
        stopwatch = _Stopwatch()
        row = empty_row(case.item, method.label)
        try:
            with stopwatch("read"):
                row |= {"seconds": case.seconds, "mixture": str(case.mixture)}
                reference = _reference(case)
            path, estimate = self._estimate(method, case, scratch, stopwatch)
            row["estimate"] = str(path) if method.label == UNPROCESSED or self._setup.keep_estimates else None
            with stopwatch("score"):
                row["scores"], reasons = self._scores(reference, estimate)
            row |= {"status": "failed" if reasons else "ok", "reason": reasons or None}
        except AvseError as error:
            row["reason"] = error.message
        except Exception as error:  # every item must have a row
            row["reason"] = one_line(error)
        return row | {"elapsed_seconds": stopwatch.seconds.get("method", 0.0), "stage_seconds": stopwatch.seconds}

    def _estimate(self, method: System, case: Case, scratch: Path, stopwatch: _Stopwatch) -> tuple[Path, np.ndarray]:
        """Run a system; return the file it wrote and its audio (N,)."""
        if method.label == UNPROCESSED:
            return case.mixture, case.audio
        folder = self._setup.output if self._setup.keep_estimates else scratch
        path = folder / "estimates" / safe(method.label) / safe(case.item.subset) / f"{safe(case.item.name)}.wav"
        check_inside(path, folder)
        if not case.recording.exists():
            raise AvseError(f"There is no file {case.recording}.", "Check that the folder is complete.")
        with stopwatch("method"):
            self._runner.run(method, case, path)
        with stopwatch("read"):
            return path, audio_files.read_audio_file(path)

    def _scores(self, reference: np.ndarray | None, estimate: np.ndarray) -> tuple[dict[str, float], str]:
        """Return scores by key, and the reasons for those that are nan."""
        values: dict[str, float] = dict.fromkeys(WITH_REFERENCE, math.nan)
        reasons: list[str] = []
        if reference is not None:
            reference, estimate = _same_length(reference, estimate)
            scores = score(reference, estimate, SAMPLE_RATE)
            values = dict(scores.values)
            reasons += dict.fromkeys(scores.reasons.values())
        if reference is None or self._setup.with_dnsmos:
            try:
                values["dnsmos"] = dnsmos.overall(estimate)
            except ValueError as error:
                values["dnsmos"] = math.nan
                reasons.append(str(error))
        return values, "; ".join(reasons)


@dataclass
class _Stopwatch:
    """Measure seconds by stage: ``with stopwatch("read"): ...``"""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began


def empty_row(item: Item, label: str, reason: str = "") -> Row:
    """Return the row of a system without output."""
    scores: Mapping[str, float] = dict.fromkeys(WITH_REFERENCE, math.nan)
    video = str(item.video) if item.video else None
    return {
        "item": item.name, "subset": item.subset, "method": label, "status": "failed", "reason": reason or None,
        "seconds": 0.0, "elapsed_seconds": 0.0, "scores": scores,
        "mixture": None if isinstance(item.mixture, Recipe) else str(item.mixture),
        "reference": str(item.reference) if item.reference else None, "estimate": None,
        "video": video, "picture": video, "stage_seconds": {},
    }  # fmt: skip


def made_path(output: Path, item: Item) -> Path:
    """Return where the mixture of a recipe is stored."""
    return output / "mixtures" / safe(item.subset) / f"{safe(item.name)}.wav"


def safe(name: str) -> str:
    """Convert any name to a unique file name; a changed name ends with a digest."""
    plain = re.sub(r"[^\w.,#+-]", "_", name).lstrip(".")
    if plain == name and len(os.fsencode(plain)) <= MAX_NAME_BYTES:
        return plain
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16]
    return f"{os.fsencode(plain)[:MAX_NAME_BYTES].decode(errors='ignore')}-{digest}"


def _reference(case: Case) -> np.ndarray | None:
    if case.item.reference is None:
        return None
    reference = audio_files.read_audio_file(case.item.reference)
    return reference[: len(case.audio)] if case.item.cut else reference


def _same_length(reference: np.ndarray, estimate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut both to the shorter if they differ by less than a video frame (codec padding); AvseError if by more."""
    if abs(len(reference) - len(estimate)) > SAMPLES_PER_FRAME:
        raise AvseError(
            f"the lengths differ: reference {len(reference)} samples, estimate {len(estimate)} at 16 kHz",
            "Trim both so that they start and end together.",
        )
    length = min(len(reference), len(estimate))
    return reference[:length], estimate[:length]
