"""Check whether the fusions are in the order of the MMTM paper: each minus the one before, from scores of table3.py.

It only reads the CSV beside the page of table3.py. Networks of one name with several seeds are one method.

    python benchmarks/fusion_order.py docs/table3.csv
"""

from __future__ import annotations

import argparse
import csv
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from avse.evaluation.metrics import METRICS
from avse.evaluation.statistics import mean_of

DIGITS = {"pesq": 2, "stoi": 3, "si_sdr": 2}
CHAIN = ("AO", "CWC", "MMTM global", "MMTM time")
"""The paper's order from the lowest score to the highest; the last one, with the time squeeze, is ours."""
Items = dict[str, float]
Scores = Mapping[tuple[str, str], Mapping[str, Items]]
"""Scores by list and method name, then by metric, then by item."""


def read_scores(path: Path) -> dict[tuple[str, str], dict[str, Items]]:
    """Read the scores of every list and method name as means over the seeds of each item, without failed rows."""
    found: dict[tuple[str, str], dict[str, dict[str, list[float]]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["status"] != "ok":
                continue
            name = row["method"].partition(" seed ")[0]
            metrics = found.setdefault((row["subset"], name), {metric: {} for metric in DIGITS})
            for metric in DIGITS:
                metrics[metric].setdefault(row["item"], []).append(float(row[metric]))
    return {
        key: {metric: {item: float(np.mean(each)) for item, each in items.items()} for metric, items in metrics.items()}
        for key, metrics in found.items()
    }


def seeds_of(path: Path) -> dict[str, int]:
    """Count the networks of each method name."""
    with path.open(newline="", encoding="utf-8") as file:
        names = {row["method"] for row in csv.DictReader(file)}
    bases = [name.partition(" seed ")[0] for name in names]
    return {base: bases.count(base) for base in bases}


def verdict(low: float, high: float) -> str:
    """Return what an interval shows about the order: "holds", "reversed" or "open"."""
    if low > 0:
        return "holds"
    return "reversed" if high < 0 else "open"


def order_table(scores: Scores, chain: Sequence[str] = CHAIN, seed: int = 0) -> str:
    """Return a table with one row per list and step of the chain: paired differences, intervals, and verdicts."""
    heads = ["list", "step", *(METRICS[metric].heading for metric in DIGITS), "order"]
    lines = [heads, ["---"] * len(heads)]
    for subset in sorted({subset for subset, _ in scores}):
        for lower, upper in itertools.pairwise(chain):
            cells, verdicts = [], []
            for metric, digits in DIGITS.items():
                above, below = scores[subset, upper][metric], scores[subset, lower][metric]
                mean = mean_of(np.array([above[item] - below[item] for item in sorted(above) if item in below]), seed)
                cells.append(f"{mean.value:+.{digits}f} ({mean.low:+.{digits}f} to {mean.high:+.{digits}f})")
                verdicts.append(verdict(mean.low, mean.high))
            lines.append([subset, f"{upper} minus {lower}", *cells, ", ".join(verdicts)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def section(path: Path) -> str:
    """Return the section of the page about the order, with its table."""
    counts = seeds_of(path)
    seeds = ", ".join(f"{name} {counts[name]}" for name in CHAIN)
    return "\n\n".join(
        [
            "## The paper's order",
            f"Made by `python benchmarks/fusion_order.py {path}`. Each method minus the one before it, item by item, "
            f"with 95 % intervals over items; seeds: {seeds}. Per score (PESQ, STOI, SI-SDR) the order holds (interval "
            "above 0), is reversed (below 0) or is open.",
            order_table(read_scores(path)),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and print the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, help="the CSV beside the page of table3.py")
    print(section(parser.parse_args(arguments).scores))


if __name__ == "__main__":
    main()
