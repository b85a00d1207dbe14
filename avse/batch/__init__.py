"""Many recordings: found, given to workers that may die, written down one by one, and gone on with after any stop.

    folder -> items -> engine (local processes or a Ray cluster), each worker: job -> results.jsonl -> summary, report

An engine is a function ``run_many(job, items, workers, on_progress)``; there is one in `avse.workers` and one
in `avse.batch_ray`.
Nothing heavy is imported before a worker starts its job.
"""

from __future__ import annotations

from avse.batch.items import Item, find
from avse.batch.job import EnhanceJob, Job, Work
from avse.batch.journal import Journal
from avse.batch.run import Engine, OnProgress, Outcome, Settings, run, states
from avse.workers import num_cores, run_many

__all__ = [
    "Engine", "EnhanceJob", "Item", "Job", "Journal", "OnProgress", "Outcome", "Settings", "Work", "find", "num_cores",
    "run", "run_many", "states",
]  # fmt: skip
