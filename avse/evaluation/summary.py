"""Summarise an evaluation: means with confidence intervals, and all that is needed to repeat it."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Sequence
from datetime import date
from importlib import metadata
from typing import Any

from avse.evaluation.rows import Line, MeanScore, Row, Summary
from avse.evaluation.statistics import UNPROCESSED, Mean, ScoreTable, mean_of
from avse.evaluation.systems import System
from avse.parallel.local import num_cores
from avse.version import __version__

MADE_WORSE = "Items made worse have an SI-SDR more than 0.5 dB below that of their mixture. "
"""A sentence of the protocol, for tables that count them."""

PROTOCOL = (
    "All audio is mono at 16 kHz. PESQ is wide-band (ITU-T P.862.2). PESQ, STOI and ESTOI are computed in windows "
    "of at most 30 s, SI-SDR from the zero-mean signals. Scores are means over items; an improvement is the score "
    "of the estimate minus that of the unprocessed mixture, item by item. "
    f"{MADE_WORSE}Intervals are 95 % percentiles of a bootstrap over items. Without a reference, DNSMOS P.835 "
    "(overall) is computed."
)
PACKAGES = ("torch", "numpy", "scipy", "pesq", "pystoi", "speechmos", "soxr", "soundfile", "onnxruntime")


def summarise(rows: Sequence[Row], methods: Sequence[System], seed: int) -> Summary:
    """Return versions, machine, systems with the SHA-256 of their weights, and a table by subset and system."""
    score_table = ScoreTable(rows)
    table = [
        _line(score_table, subset, method, seed) for subset in score_table.subsets for method in score_table.methods
    ]
    return {
        "protocol": PROTOCOL,
        "date": date.today().isoformat(),
        "seed": seed,
        "versions": {"avse": __version__, "python": platform.python_version()} | _versions(),
        "machine": _machine(),
        "methods": {method.label: _weights(method) for method in methods},
        "num_items": score_table.num_items,
        "num_failed": sum(row["status"] != "ok" for row in rows),
        "scores": [line for line in table if line["n"]],
    }


def times(rows: Sequence[Row], wall_seconds: float, num_jobs: int) -> dict[str, float]:
    """Return the time of a run by stage, as shares of the workers' total time (1 in total)."""
    stages = {name: sum(row["stage_seconds"].get(name, 0.0) for row in rows) for name in ("method", "score")}
    busy = sum(sum(row["stage_seconds"].values()) for row in rows)
    given = max(num_jobs * wall_seconds, 1e-9)
    return {
        "wall_seconds": wall_seconds,
        "num_jobs": num_jobs,
        "method_share": stages["method"] / given,
        "score_share": stages["score"] / given,
        "files_share": (busy - sum(stages.values())) / given,
        "idle_share": 1 - busy / given,
    }


def _weights(method: System) -> dict[str, Any]:
    return {"spec": method.spec, "sha256": method.sha256, "sha256_without_face": method.sha256_without_face}


def _line(score_table: ScoreTable, subset: str, method: str, seed: int) -> Line:
    rows = score_table.select(method, subset)
    names = [metric.key for metric in score_table.metrics]
    without_video = sum(row["video"] is None for row in rows)
    gains = {} if method == UNPROCESSED else {name: score_table.gains(name, method, subset) for name in names}
    return {
        "subset": subset,
        "method": method,
        "n": len(rows),
        "failed": sum(row["status"] != "ok" for row in rows),
        "without_video": without_video,
        "without_picture": without_video,  # the former key
        "mean": {name: _mean(mean_of(score_table.values(name, method, subset), seed)) for name in names},
        "improvement": {name: _mean(mean_of(values, seed)) for name, values in gains.items()},
        "made_worse": _or_none(score_table.worse_share(method, subset)),
    }


def _mean(mean: Mean) -> MeanScore:
    return {"mean": mean.value, "low": mean.low, "high": mean.high, "n": mean.num_items}


def _or_none(value: float) -> float | None:
    """Return a number that JSON can hold, or None."""
    return value if math.isfinite(value) else None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> dict[str, Any]:
    torch = sys.modules.get("torch")  # loading it is not needed if no network was used
    gpu = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None
    return {"platform": platform.platform(), "num_cores": num_cores(), "gpu": gpu}
