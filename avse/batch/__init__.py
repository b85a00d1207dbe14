"""Enhance many recordings: workers may die, each result is recorded at once, and an interrupted batch resumes.

    folder -> items -> engine (local processes or a Ray cluster), each worker: job -> results.jsonl -> summary, report

An engine is a function ``run_many(job, items, workers, on_progress)``; there is one in `avse.parallel.local`
and one in `avse.parallel.ray`.
Nothing heavy is imported before a worker starts its job.
"""

from __future__ import annotations

from avse.batch.discovery import Found, Item, find, survey
from avse.batch.job import EnhanceJob, Job, Work
from avse.batch.journal import Journal
from avse.batch.run import run
from avse.batch.settings import Engine, OnProgress, Outcome, Settings
from avse.batch.states import settled, states
from avse.parallel.local import num_cores, run_many

__all__ = [
    "Engine", "EnhanceJob", "Found", "Item", "Job", "Journal", "OnProgress", "Outcome", "Settings", "Work", "find",
    "num_cores", "run", "run_many", "settled", "states", "survey",
]  # fmt: skip
