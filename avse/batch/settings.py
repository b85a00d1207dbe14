"""The settings of a batch, and the engines that can run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avse.batch.discovery import Item
from avse.batch.job import Job
from avse.batch.rows import Facts, Summary
from avse.parallel import tasks
from avse.parallel.local import run_many

Outcome = tasks.Outcome[Item, Facts]
OnProgress = tasks.OnProgress[Item]
Engine = Callable[[Job, Sequence[Item], int, OnProgress], tasks.Outcomes[Item, Facts]]


@dataclass(frozen=True)
class Settings:
    """Hold the settings of a batch.

    Attributes:
        output: folder or URL of the mirrored tree.
        results: local folder of results.jsonl, summary.json and report.html; ``output`` itself where that is local.
        num_workers: processes at the same time.
        force: redo what is done.
        needs_scores: an item whose row has no scores is not done.
        engine: local processes, or a cluster (`avse.parallel.ray`).
        about: for the summary: what was run, with which options.
    """

    output: str
    results: Path
    num_workers: int = 1
    force: bool = False
    needs_scores: bool = False
    engine: Engine = run_many
    about: Summary = field(default_factory=Summary)
