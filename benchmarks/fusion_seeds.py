"""Compare fusions over several seeds: gains of each network, and differences with intervals over seeds and items.

ROWS is the file beside the page of missing.py, whose networks are called NAME SEED, the same seeds for each name. The
bootstrap draws seeds for each of two fusions and items for both, so the intervals include the variation of training.

    python benchmarks/fusion_seeds.py ROWS.jsonl --output docs/table3-small.md
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from marked_page import add_force, check_page, write_page

from avse.io.jsonl import read_jsonl

SCORES = {"si_sdr_gain": ("SI-SDR improvement in dB", 2), "stoi": ("STOI", 3)}
PAIRS = (
    ("CWC", "AO"), ("MMTM global", "AO"), ("MMTM time", "AO"), ("MSAF", "AO"), ("AsymFusion", "AO"),
    ("MMTM global", "CWC"), ("MMTM time", "CWC"), ("MSAF", "CWC"), ("AsymFusion", "CWC"),
    ("MMTM time", "MMTM global"),
)  # fmt: skip
NUM_DRAWS = 4000
Scores = Mapping[str, np.ndarray]
"""Scores (seeds, items) by the name of a fusion."""


def read_scores(rows: Iterable[Mapping[str, Any]], score: str) -> dict[str, Scores]:
    """Return one score for each list, and for all lists together, of the items that every network has."""
    found: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for row in rows:
        name, _, seed = str(row["method"]).rpartition(" ")
        if row["video"] == "present":
            found.setdefault((name, seed), {})[str(row["list"]), str(row["item"])] = float(row[score])
    items = sorted(set.intersection(*map(set, found.values())))
    groups = {group: [item for item in items if item[0] == group] for group in sorted({item[0] for item in items})}
    return {
        group: {
            name: np.array([[found[key][item] for item in own] for key in sorted(found) if key[0] == name])
            for name in dict.fromkeys(name for name, _ in found)
        }
        for group, own in {**groups, "all": items}.items()
    }


def difference(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the mean difference of scores (seeds, items) and its 95 % interval over seeds and items."""
    draws = []
    for _ in range(NUM_DRAWS):
        items = rng.integers(one.shape[1], size=one.shape[1])
        first, second = (values[rng.integers(len(values), size=len(values))] for values in (one, other))
        draws.append(first[:, items].mean() - second[:, items].mean())
    low, high = np.percentile(draws, (2.5, 97.5))
    return float(one.mean() - other.mean()), float(low), float(high)


def means_table(scores: Mapping[str, Scores], digits: int) -> str:
    """Return a table of means over items, one for each seed, and their standard deviation."""
    lines = ["| list | items | fusion | each seed | mean | SD of seeds |", "|---|---|---|---|---|---|"]
    for group, fusions in scores.items():
        for name, values in fusions.items():
            seeds = values.mean(1)
            each = ", ".join(f"{seed:.{digits}f}" for seed in seeds)
            spread = np.std(seeds, ddof=1) if len(seeds) > 1 else float("nan")
            lines.append(
                f"| {group} | {values.shape[1]} | {name} | {each} | {seeds.mean():.{digits}f} | {spread:.{digits}f} |"
            )
    return "\n".join(lines)


def differences_table(scores: Mapping[str, Scores], digits: int) -> str:
    """Return a table of the differences of ``PAIRS``, and what each interval shows."""
    lines = ["| list | difference | mean (95 %) | |", "|---|---|---|---|"]
    for group, fusions in scores.items():
        for one, other in PAIRS:
            if {one, other} <= set(fusions):
                mean, low, high = difference(fusions[one], fusions[other], np.random.default_rng(0))
                shown = "above" if low > 0 else "below" if high < 0 else "open"
                spread = f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"
                lines.append(f"| {group} | {one} minus {other} | {spread} | {shown} |")
    return "\n".join(lines)


def page_part(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the tables of all scores."""
    kept, parts = list(rows), []
    for score, (title, digits) in SCORES.items():
        scores = read_scores(kept, score)
        parts += [f"## {title}", means_table(scores, digits), differences_table(scores, digits)]
    return "\n\n".join(parts)


def main() -> None:
    """Read the command line and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="rows of missing.py")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page")
    add_force(parser)
    options = parser.parse_args()
    check_page(parser, options)
    parts = {"scores": page_part(read_jsonl(options.rows)[1])}
    print(write_page(options.output, "Fusions over several seeds", parts, options.force))


if __name__ == "__main__":
    main()
