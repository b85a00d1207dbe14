"""Score systems on a folder of mixtures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from avse.errors import AvseError
from avse.evaluation import dnsmos, results, summary
from avse.evaluation.corpora.corpus import Found, choose, fingerprint, recognise, unused_files
from avse.evaluation.corpora.layouts import LAYOUTS
from avse.evaluation.rows import Row, Summary
from avse.evaluation.scoring import Evaluator, Setup, Task, empty_row
from avse.evaluation.systems import System, parse_systems
from avse.io import jsonl
from avse.io.urls import missing, real_path
from avse.parallel import local
from avse.progress import Report, silent


@dataclass(frozen=True)
class Request:
    """Hold the settings of an evaluation."""

    folder: Path
    output: Path
    methods: Sequence[str] = ("avse",)
    """As `avse.evaluation.systems.parse_systems` reads them; the unprocessed mixture is always added."""
    layout: str | None = None
    """A name in `LAYOUTS`; None detects the layout."""
    videos: Path | None = None
    """VoxCeleb2's own videos, for layouts that hold audio only."""
    subsets: Sequence[str] = ()
    """Only these; by default all except those for training."""
    limit: int | None = None
    """Only the first items of each subset."""
    device: str = "auto"
    keep_estimates: bool = True
    with_dnsmos: bool = False
    """Also compute DNSMOS; without a reference it is always computed."""
    seed: int = 0
    """Seed of the bootstrap."""


@dataclass(frozen=True)
class Evaluation:
    """Hold the rows of the systems asked for, those of earlier runs included, and the summary."""

    layout: str
    rows: list[Row]
    summary: Summary = field(default_factory=Summary)
    num_changed: int = 0
    """Number of items that were scored again because their files have changed."""

    @property
    def num_failed(self) -> int:
        """Return the number of rows that lack a score."""
        return sum(row["status"] != "ok" for row in self.rows)


def find(request: Request) -> Found:
    """Find the layout of the folder, and the items that are asked for. UsageError if there are none."""
    if request.videos is not None and not request.videos.is_dir():
        hint = "Name the folder of VoxCeleb2's own videos, or leave --videos out."
        raise missing(request.videos, "folder", hint)
    found = recognise(request.folder, LAYOUTS, request.layout, request.videos)
    passed_over = unused_files(request.folder, found.items) if found.layout == "pairs" else {}
    return Found(found.layout, choose(found.items, list(request.subsets), request.limit), passed_over)


def evaluate(
    request: Request,
    num_jobs: int | None = None,
    force: bool = False,
    on_progress: Report = silent,
    found: Found | None = None,
) -> Evaluation:
    """Run and score all methods on all items that have no row yet, and write the results of all of them.

    A row of other files than those that are there now counts as none. ``found`` is the answer of `find` to the request.

    Methods of earlier runs that are not requested keep their rows in results.jsonl, and are in no other output.

    ``output`` gets results.jsonl (a row for each item and method, as it ends), estimates/, scores.csv and summary.json;
    `avse.reports.evaluation.evaluation_report` makes a page of what is returned. An item that cannot be scored is a
    row with its reason; only an invalid request raises.

    Raises:
        UsageError: folder, layout, methods or output cannot be used. MissingError: a program or package is not there.
    """
    results.check_separate(request.output, request.folder, request.videos)
    found, methods = found or find(request), parse_systems(request.methods)
    _check_possible(request, found, methods)
    jobs = min(local.count(num_jobs), len(found.items))
    setup = Setup(request.output, tuple(methods), request.device, jobs, request.keep_estimates, request.with_dnsmos)
    began = time.perf_counter()
    fingerprints = {(item.subset, item.name): fingerprint(item) for item in found.items}
    settings = _settings(request, found.layout, methods)
    with results.opened(request.output, settings, force, fingerprints) as (kept, file, changed):
        before = {results.key(row): row for row in kept if "dnsmos" in row["scores"] or not request.with_dnsmos}
        new = []
        for rows in _run(setup, list(_tasks(found, methods, before, fingerprints)), on_progress):
            results.append(file, rows)
            new += rows
        fresh = before | {results.key(row): row for row in new}
        wanted = [(item.subset, item.name, method.label) for item in found.items for method in methods]
        ordered = [fresh[key] for key in wanted if key in fresh]
        facts: Summary = {"folder": str(request.folder), "layout": found.layout}
        if found.passed_over:
            facts["passed_over"] = found.passed_over
        facts |= summary.summarise(ordered, methods, request.seed)
        facts["time"] = summary.times(new, time.perf_counter() - began, jobs)
        _write(request, ordered, facts)
    return Evaluation(found.layout, ordered, facts, len(changed))


def _check_possible(request: Request, found: Found, methods: Sequence[System]) -> None:
    """Raise MissingError or UsageError for a package or a device that is not there."""
    if request.with_dnsmos or any(item.reference is None for item in found.items):
        dnsmos.check_installed()
    if any(method.model for method in methods):
        from avse.weights import pretrained

        pretrained.pick_device(request.device)


def _tasks(
    found: Found,
    methods: Sequence[System],
    done: Mapping[results.Key, Row],
    fingerprints: Mapping[results.Place, str],
) -> Iterator[Task]:
    """Yield items with the systems that are still to be run."""
    for item in found.items:
        labels = [method.label for method in methods if (item.subset, item.name, method.label) not in done]
        if labels:
            yield Task(item, tuple(labels), fingerprints[item.subset, item.name])


def _run(setup: Setup, tasks: Sequence[Task], on_progress: Report) -> Iterator[list[Row]]:
    """Yield the rows of each item as it ends; an item whose worker died gives failed rows."""
    ended = local.run_many(partial(Evaluator, setup), tasks, setup.num_jobs)
    for number, outcome in enumerate(ended, 1):
        task, rows = outcome.item, outcome.answer
        if isinstance(rows, AvseError):
            rows = [empty_row(task.item, label, rows.message) for label in task.labels]
        yield [row | {"fingerprint": task.fingerprint} for row in rows]
        on_progress("evaluating", number, len(tasks))


def _settings(request: Request, layout: str, methods: Sequence[System]) -> dict[str, Any]:
    """Return the settings that all rows in one folder share."""
    own = {method.label: asdict(method) | {"command": list(method.command)} for method in methods}
    videos = str(real_path(request.videos)) if request.videos else None
    return {"folder": str(real_path(request.folder)), "videos": videos, "layout": layout, "methods": own}


def _write(request: Request, rows: list[Row], facts: Summary) -> None:
    """Write the table and the summary."""
    results.write_table(request.output / results.TABLE, rows)
    jsonl.write_json(request.output / results.SUMMARY, facts)
