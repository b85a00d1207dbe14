"""Reproduce table 3 of the MMTM paper on our mixtures: networks with the same audio stream and the same training.

It does not train. It evaluates checkpoints as `avse evaluate` does, on every list of a folder of mixture lists. The
page has scores with their intervals, beside the unprocessed mixture and the paper; the paired differences of one
network to each other one; and the recipe of each network from its checkpoint. If a name is given several times, for
networks trained with different seeds, they are one row: the mean over its networks for each item. The page ends with
each seed separately. Rows and estimates are kept in RESULTS: run the command again to resume, or to add a network. On a
page that exists, only the text between the marks is replaced.

    python benchmarks/table3.py MIXTURES AO=runs/ao/best.safetensors CWC=runs/cwc/best.safetensors \
        "MMTM global=runs/mmtm-global/best.safetensors" "MMTM time=runs/mmtm/best.safetensors" --output docs/table3.md
"""

from __future__ import annotations

import argparse
import itertools
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fusion_order import CHAIN, section
from marked_page import add_force, check_page, write_page

from avse.errors import AvseError, UsageError
from avse.evaluation.evaluate import Request, evaluate
from avse.evaluation.metrics import METRICS
from avse.evaluation.statistics import Mean, ScoreTable, mean_of, score_of, subset_of
from avse.evaluation.summary import MADE_WORSE
from avse.evaluation.systems import UNPROCESSED
from avse.weights import pretrained
from avse.weights.metadata import Metadata, read_metadata, sha256

DIGITS = {"pesq": 2, "stoi": 3, "estoi": 3, "si_sdr": 2}
PAPER_SOURCE = (
    "Vaezi Joze, Shaban, Iuzzolino, Koishida: MMTM: Multimodal Transfer Module for CNN Fusion, CVPR 2020, "
    "arXiv:1911.08670; VoxCeleb2, three talkers at once"
)
PAPER = {
    "Target": {"pesq": 4.64, "stoi": 1.000},
    "Mixed": {"pesq": 2.19, "stoi": 0.900},
    "AVSE (Gabbay et al.; approximate reference)": {"pesq": 2.59, "stoi": 0.650},
    "AO baseline": {"pesq": 2.43, "stoi": 0.930},
    "AV baseline (CWC)": {"pesq": 2.67, "stoi": 0.938},
    "MMTM": {"pesq": 2.73, "stoi": 0.941},
}
PAPER_ROWS = {
    UNPROCESSED: "Mixed",
    "none": "AO baseline",
    "cwc": "AV baseline (CWC)",
    "mmtm-global": "MMTM",
    "mmtm": "MMTM",
}
"""Rows of the paper by fusion, and for the unprocessed mixture."""
IN_PAPER = ("pesq", "stoi")
SETTINGS = ("stage", "batch_size", "learning_rate", "num_steps", "seed")
Fusions = Mapping[str, str]
Nets = Mapping[str, Mapping[str, Metadata]]
"""Metadata by the name of a row, then by the name of each of its networks."""


def read_nets(typed: Sequence[str]) -> dict[str, dict[str, Metadata]]:
    """Read checkpoints by name; UsageError for one that is missing or that repeats a network.

    If several have the same name, the first keeps it, and each other one is called by name and seed.
    """
    nets: dict[str, dict[str, Metadata]] = {}
    for entry in typed:
        name, equals, path = entry.partition("=")
        header = read_metadata(pretrained.find(path)) if equals else None
        taken = nets.get(name, {})
        if header is None or not is_another_seed(header, list(taken.values())):
            raise UsageError(
                f"{entry!r} does not name a new network.",
                "Write NAME=PATH. Repeat a name only for the same fusion trained with another seed.",
            )
        nets[name] = taken | {f"{name} seed {seed_of(header)}" if taken else name: header}
    return nets


def is_another_seed(header: Metadata, others: Sequence[Metadata]) -> bool:
    """Return whether a network can share a row with these: the same fusion, and a seed that none of them has."""
    return all(header.fusion == other.fusion and seed_of(header) != seed_of(other) for other in others)


def seed_of(header: Metadata) -> Any:
    """Return the seed of the training."""
    return header.about.get("training", {}).get("seed")


def over_seeds(rows: Sequence[Mapping[str, Any]], nets: Nets) -> list[dict[str, Any]]:
    """Merge the networks of one name into one method, whose score of an item is the mean of theirs.

    A score that one of them lacks is left out.
    """
    names = {method: name for name, members in nets.items() for method in members}
    together: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        name = names.get(row["method"], row["method"])
        together.setdefault((subset_of(row), str(row["item"]), name), []).append(row)
    return [
        {"subset": subset, "item": item, "method": name, "scores": mean_scores(group)}
        for (subset, item, name), group in together.items()
        if len(group) == len(nets.get(name, [name]))
    ]


def mean_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Compute the mean of each score that all rows have."""
    values = {metric: [score_of(row, metric) for row in rows] for metric in DIGITS}
    return {metric: float(np.mean(found)) for metric, found in values.items() if np.isfinite(found).all()}


def scores_table(score_table: ScoreTable, subset: str, fusions: Fusions, with_paper: bool) -> str:
    """Return a table of means with intervals on one list, beside the paper's rows if they are for this list."""
    heads = ["method", "items", *(f"{METRICS[key].heading} (95 %)" for key in DIGITS)]
    heads += ["paper: PESQ", "STOI"] if with_paper else []
    rows = []
    for method in score_table.methods:
        cells = [method, str(len(score_table.select(method, subset)))]
        cells += [spread(score_table.mean(name, method, subset), name) for name in DIGITS]
        published = PAPER.get(PAPER_ROWS.get(fusions[method], ""), {}) if with_paper else {}
        rows.append(
            cells
            + [f"{published[name]:.{DIGITS[name]}f}" if published else "" for name in (IN_PAPER if with_paper else ())]
        )
    return markdown(heads, rows)


def differences_table(score_table: ScoreTable, subset: str, ours: str, fusions: Fusions, with_paper: bool) -> str:
    """Return a table of the paired differences of ``ours`` to each other method on one list."""
    heads = [f"{ours} minus", "items", *(f"{METRICS[key].heading} (95 %)" for key in DIGITS)]
    heads += ["paper: PESQ", "STOI"] if with_paper else []
    rows = []
    for other in (method for method in score_table.methods if method != ours):
        cells = [other, *gaps(score_table, subset, ours, other)]
        rows.append(cells + (paper_differences(fusions[ours], fusions[other]) if with_paper else []))
    return markdown(heads, rows)


def gaps(score_table: ScoreTable, subset: str, ours: str, other: str) -> list[str]:
    """Return the number of items that two methods share in a list, and the paired difference of each score."""
    means = {name: difference(score_table, subset, name, ours, other) for name in DIGITS}
    num_items = max(mean.num_items for mean in means.values())
    return [str(num_items), *(spread(mean, name, "+") for name, mean in means.items())]


def difference(score_table: ScoreTable, subset: str, metric: str, ours: str, other: str) -> Mean:
    """Compute the mean paired difference of two methods over the items for which both have a score."""
    pairs = [(row, score_table.row(subset, str(row["item"]), other)) for row in score_table.select(ours, subset)]
    gaps = [score_of(row, metric) - score_of(beside, metric) for row, beside in pairs if beside is not None]
    values = np.array(gaps, float)
    return mean_of(values[np.isfinite(values)], score_table.seed)


def paper_differences(ours: str, other: str) -> list[str]:
    """Return the same difference between the paper's means; empty if it has no such rows or only one."""
    names = [PAPER_ROWS[fusion] for fusion in (ours, other) if fusion in PAPER_ROWS]
    if len(set(names)) < 2:
        return ["", ""]
    upper, lower = (PAPER[name] for name in names)
    return [f"{upper[name] - lower[name]:+.{DIGITS[name]}f}" for name in IN_PAPER]


def spread(mean: Mean, metric: str, sign: str = "") -> str:
    """Return a mean and its interval as text: 2.43 (2.31 to 2.55)."""
    digits = DIGITS[metric]
    value, low, high = (f"{number:{sign}.{digits}f}" for number in (mean.value, mean.low, mean.high))
    return f"{value} ({low} to {high})"


def seeds_table(score_table: ScoreTable, nets: Nets, ours: str) -> str:
    """Return a table that pairs the networks of ``ours`` with those of every name with equally many, in order."""
    heads = ["list", "net", "minus", "items", *(f"{METRICS[key].heading} (95 %)" for key in DIGITS)]
    others = [name for name in nets if name != ours and len(nets[name]) == len(nets[ours])]
    rows = []
    for subset, other in itertools.product(score_table.subsets, others):
        for mine, beside in zip(nets[ours], nets[other], strict=True):
            rows.append([subset, mine, beside, *gaps(score_table, subset, mine, beside)])
    return markdown(heads, rows)


def recipes_table(nets: Mapping[str, Metadata]) -> str:
    """Return a table of how each checkpoint was trained; "start" is the hash of the checkpoint it started from."""
    heads = ["net", "fusion", "parameters", "stage", "batch", "rate", "steps planned", "seed"]
    heads += ["step kept", "start", "sha256"]
    cells = []
    for name, header in nets.items():
        training = header.about.get("training", {})
        start = header.about.get("start", "not recorded") or "nothing"
        row = [
            name,
            header.fusion,
            f"{header.num_parameters / 1e6:.2f} M",
            *(training.get(key, "?") for key in SETTINGS),
        ]
        cells.append(
            [
                *map(str, row),
                str(header.about.get("step", "?")),
                " + ".join(part[:12] for part in start.split(" + ")),
                sha256(header.path)[:12],
            ]
        )
    return markdown(heads, cells)


def differing_settings(nets: Mapping[str, Metadata]) -> str:
    """Return a sentence about the settings that differ, of training and of the network except for its fusion."""
    recipes = [dict(header.about.get("training", {})) for header in nets.values()]
    models = [dict(recipe.pop("model", {})) | {"fusion": ""} for recipe in recipes]
    names = {name: None for recipe in (*recipes, *models) for name in recipe}
    differing = [
        name for name in names if any(len({str(one.get(name)) for one in part}) > 1 for part in (recipes, models))
    ]
    return (
        f"Settings that differ: {', '.join(differing)}." if differing else "All settings but the fusion are the same."
    )


def paper_table() -> str:
    """Return the paper's whole table."""
    return markdown(
        ["method", "PESQ", "STOI"],
        [[name, f"{scores['pesq']:.2f}", f"{scores['stoi']:.3f}"] for name, scores in PAPER.items()],
    )


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows])


def page_parts(
    rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], nets: Nets, options: argparse.Namespace
) -> dict[str, str]:
    """Return the parts of the page, with all that is needed to reproduce it."""
    score_table = ScoreTable(over_seeds(rows, nets), facts["seed"])
    alone = {method: header for members in nets.values() for method, header in members.items()}
    fusions = {UNPROCESSED: UNPROCESSED} | {name: alone[name].fusion for name in nets}
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    machine = f"{facts['machine']['platform']}, {facts['machine']['num_cores']} cores, GPU: {facts['machine']['gpu']}"
    typed = " ".join(f'"{name}=PATH"' for name, members in nets.items() for _ in members)
    made = [
        f"Made by `python benchmarks/table3.py MIXTURES {typed} --output {options.output}` on {facts['date']}, "
        f"{machine}; {facts['num_failed']} rows failed; bootstrap seed {facts['seed']}; {versions}.",
        facts["protocol"].replace(MADE_WORSE, ""),
        f"The paper's own figures are means over other recordings ({PAPER_SOURCE}). They are shown only for the list "
        f"`{options.paper_list}`, whose mixtures are as difficult as the paper's. Its MMTM uses a global squeeze.",
    ]
    parts = []
    for subset in score_table.subsets:
        with_paper = subset == options.paper_list
        parts += [f"## {subset}", scores_table(score_table, subset, fusions, with_paper)]
        if options.ours in nets:
            parts += [differences_table(score_table, subset, options.ours, fusions, with_paper)]
    if len(nets.get(options.ours, ())) > 1:
        parts += ["## Each seed", seeds_table(ScoreTable(rows, facts["seed"]), nets, options.ours)]
    parts += [
        "## Training of the networks",
        differing_settings(alone),
        recipes_table(alone),
        "## The table in the paper",
        PAPER_SOURCE + ".",
        paper_table(),
    ]
    return {"made": "\n\n".join(made), "scores": "\n\n".join(parts)}


def run(options: argparse.Namespace) -> str:
    """Evaluate, and write the page."""
    nets = read_nets(options.nets)
    if options.ours not in nets and len(nets) > 1:
        raise UsageError(
            f"There is no network called {options.ours!r}.", f"Choose one of these with --ours: {', '.join(nets)}."
        )
    methods = [f"{method}={header.path}" for members in nets.values() for method, header in members.items()]
    request = Request(options.mixtures, options.results, methods, limit=options.limit, seed=options.seed)
    done = evaluate(request, options.jobs)
    parts = page_parts(done.rows, done.summary, nets, options)
    scores = options.output.with_suffix(".csv")
    shutil.copyfile(options.results / "scores.csv", scores)
    if set(CHAIN) <= set(nets):
        parts["scores"] += "\n\n" + section(scores)
    return write_page(options.output, "The MMTM paper's table", parts, options.force)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, evaluate, write the page; a missing checkpoint gives two lines and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", type=Path, help="folder of mixture lists")
    parser.add_argument(
        "nets", nargs="+", metavar="NAME=PATH", help="checkpoints with their names; repeat a name for another seed"
    )
    parser.add_argument("--output", type=Path, required=True, help="Markdown page; all scores go beside it as .csv")
    parser.add_argument("--results", type=Path, default=Path("out/table3"), help="rows and estimates")
    parser.add_argument("--ours", default="MMTM time", help="network to compare with each other one")
    parser.add_argument("--paper-list", default="three-talkers-paper", help="list with mixtures like the paper's")
    parser.add_argument("--jobs", type=int, help="number of processes (default: one per core)")
    parser.add_argument("--limit", type=int, help="number of items per list")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    add_force(parser)
    options = parser.parse_args(arguments)
    check_page(parser, options)
    try:
        print(run(options))
    except AvseError as error:
        parser.exit(error.exit_code, f"{error.message}\n{error.hint}\n")


if __name__ == "__main__":
    main()
