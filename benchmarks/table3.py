"""The table of the MMTM paper, on mixtures that we have: nets with the same audio stream and the same training.

Trains nothing. Evaluates checkpoints as `avse evaluate` does, on every list of a folder of mixture lists, and writes a
page: scores with their intervals beside the unprocessed mixture and beside the paper, how far one net lies above each
of the others item by item, and the recipe of each net as its file tells it. Rows and estimates stay in the folder of
results; run it again to go on where it stopped, or to add a net.

    python benchmarks/table3.py MIXTURES AO=runs/ao/best.safetensors CWC=runs/cwc/best.safetensors \
        "MMTM global=runs/mmtm-global/best.safetensors" "MMTM time=runs/mmtm/best.safetensors" --output docs/table3.md
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avse import registry
from avse.errors import AvseError, UsageError
from avse.evaluation.evaluate import Request, evaluate
from avse.evaluation.methods import MIXED
from avse.evaluation.report.study import Mean, Study, mean_of, score_of
from avse.header import Header, read_header, sha256

SCORES = {"pesq": ("PESQ-wb", 2), "stoi": ("STOI", 3), "estoi": ("ESTOI", 3), "si_sdr": ("SI-SDR dB", 2)}
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
PAPER_ROWS = {MIXED: "Mixed", "none": "AO baseline", "cwc": "AV baseline (CWC)", "mmtm-global": "MMTM", "mmtm": "MMTM"}
"""The paper's row that goes with a fusion, or with the mixture as it is."""
IN_PAPER = ("pesq", "stoi")
SETTINGS = ("stage", "batch_size", "learning_rate", "num_steps", "seed")
Fusions = Mapping[str, str]


def read_nets(typed: Sequence[str]) -> dict[str, Header]:
    """Checkpoints by the names they were given; UsageError for one that is not there, or has no name of its own."""
    nets: dict[str, Header] = {}
    for entry in typed:
        name, equals, path = entry.partition("=")
        if not equals or name in nets:
            raise UsageError(f"{entry!r} gives no net a name of its own.", "Write NAME=PATH, each name once.")
        nets[name] = read_header(registry.find(path))
    return nets


def scores_table(study: Study, subset: str, fusions: Fusions, with_paper: bool) -> str:
    """Means of one list with their intervals, beside the paper's rows where they go with the list."""
    heads = ["method", "items", *(f"{heading} (95 %)" for heading, _ in SCORES.values())]
    heads += ["paper: PESQ", "STOI"] if with_paper else []
    rows = []
    for method in study.methods:
        cells = [method, str(len(study.select(method, subset)))]
        cells += [spread(study.mean(name, method, subset), name) for name in SCORES]
        told = PAPER.get(PAPER_ROWS.get(fusions[method], ""), {}) if with_paper else {}
        rows.append(
            cells + [f"{told[name]:.{SCORES[name][1]}f}" if told else "" for name in (IN_PAPER if with_paper else ())]
        )
    return markdown(heads, rows)


def differences_table(study: Study, subset: str, ours: str, fusions: Fusions, with_paper: bool) -> str:
    """How far ``ours`` lies above each other method of one list, item by item."""
    heads = [f"{ours} minus", "items", *(f"{heading} (95 %)" for heading, _ in SCORES.values())]
    heads += ["paper: PESQ", "STOI"] if with_paper else []
    rows = []
    for other in (method for method in study.methods if method != ours):
        means = {name: difference(study, subset, name, ours, other) for name in SCORES}
        cells = [other, str(max(mean.num_items for mean in means.values()))]
        cells += [spread(mean, name, "+") for name, mean in means.items()]
        rows.append(cells + (paper_differences(fusions[ours], fusions[other]) if with_paper else []))
    return markdown(heads, rows)


def difference(study: Study, subset: str, metric: str, ours: str, other: str) -> Mean:
    """Mean of the paired difference of two methods, over the items of which both have a score."""
    pairs = [(row, study.row(subset, str(row["item"]), other)) for row in study.select(ours, subset)]
    gaps = [score_of(row, metric) - score_of(beside, metric) for row, beside in pairs if beside is not None]
    values = np.array(gaps, float)
    return mean_of(values[np.isfinite(values)], study.seed)


def paper_differences(ours: str, other: str) -> list[str]:
    """The same difference in the paper, from its means; empty where it has no such row, or the same one."""
    names = [PAPER_ROWS[fusion] for fusion in (ours, other) if fusion in PAPER_ROWS]
    if len(set(names)) < 2:
        return ["", ""]
    upper, lower = (PAPER[name] for name in names)
    return [f"{upper[name] - lower[name]:+.{SCORES[name][1]}f}" for name in IN_PAPER]


def spread(mean: Mean, metric: str, sign: str = "") -> str:
    """A mean and its interval: 2.43 (2.31 to 2.55)."""
    digits = SCORES[metric][1]
    value, low, high = (f"{number:{sign}.{digits}f}" for number in (mean.value, mean.low, mean.high))
    return f"{value} ({low} to {high})"


def recipes_table(nets: Mapping[str, Header]) -> str:
    """What each file tells of its training; "start" is the hash of the checkpoint whose weights it began with."""
    heads = [
        "net",
        "fusion",
        "parameters",
        "stage",
        "batch",
        "rate",
        "steps planned",
        "seed",
        "step kept",
        "start",
        "sha256",
    ]
    cells = []
    for name, header in nets.items():
        told = header.about.get("training", {})
        start = header.about.get("start", "not told") or "nothing"
        row = [name, header.fusion, f"{header.num_parameters / 1e6:.2f} M", *(told.get(key, "?") for key in SETTINGS)]
        cells.append(
            [
                *map(str, row),
                str(header.about.get("step", "?")),
                " + ".join(part[:12] for part in start.split(" + ")),
                sha256(header.path)[:12],
            ]
        )
    return markdown(heads, cells)


def differing_settings(nets: Mapping[str, Header]) -> str:
    """Whether the nets were trained alike, in a sentence: settings of training, and of the net but for its fusion."""
    recipes = [dict(header.about.get("training", {})) for header in nets.values()]
    models = [dict(recipe.pop("model", {})) | {"fusion": ""} for recipe in recipes]
    names = {name: None for recipe in (*recipes, *models) for name in recipe}
    told = [name for name in names if any(len({str(one.get(name)) for one in part}) > 1 for part in (recipes, models))]
    return f"Not the same in all: {', '.join(told)}." if told else "All settings but the fusion are the same."


def paper_table() -> str:
    """The paper's table whole."""
    return markdown(
        ["method", "PESQ", "STOI"],
        [[name, f"{told['pesq']:.2f}", f"{told['stoi']:.3f}"] for name, told in PAPER.items()],
    )


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, ["---"] * len(heads), *rows])


def page(
    rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], nets: Mapping[str, Header], options: argparse.Namespace
) -> str:
    """The page, with all that is needed to make it again."""
    study = Study(rows, facts["seed"])
    fusions = {MIXED: MIXED} | {name: header.fusion for name, header in nets.items()}
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    machine = f"{facts['machine']['platform']}, {facts['machine']['num_cores']} cores, GPU: {facts['machine']['gpu']}"
    typed = " ".join(f'"{name}=PATH"' for name in nets)
    parts = [
        "# The paper's table",
        f"Made by `python benchmarks/table3.py MIXTURES {typed} --output {options.output}` on {facts['date']}, "
        f"{machine}; {facts['num_failed']} rows failed; bootstrap seed {facts['seed']}; {versions}.",
        facts["protocol"],
        f"The paper's own figures are means over other recordings ({PAPER_SOURCE}) and are given beside the list "
        f"`{options.paper_list}` alone, which is made to be as hard as its mixtures. Its MMTM squeezes globally.",
    ]
    for subset in study.subsets:
        with_paper = subset == options.paper_list
        parts += [f"## {subset}", scores_table(study, subset, fusions, with_paper)]
        if options.ours in nets:
            parts += [differences_table(study, subset, options.ours, fusions, with_paper)]
    parts += [
        "## How the nets were trained",
        differing_settings(nets),
        recipes_table(nets),
        "## The table in the paper",
        PAPER_SOURCE + ".",
        paper_table(),
    ]
    return "\n\n".join(parts) + "\n"


def run(options: argparse.Namespace) -> str:
    """Evaluate, and write the page."""
    nets = read_nets(options.nets)
    if options.ours not in nets and len(nets) > 1:
        raise UsageError(
            f"There is no net called {options.ours!r}.", f"Name it with --ours; there are: {', '.join(nets)}."
        )
    request = Request(options.mixtures, options.results, options.nets, limit=options.limit, seed=options.seed)
    done = evaluate(request, options.jobs)
    text = page(done.rows, done.summary, nets, options)
    options.output.write_text(text)
    shutil.copyfile(options.results / "scores.csv", options.output.with_suffix(".csv"))
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, evaluate, write the page; a checkpoint that is not there is two lines and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", type=Path)
    parser.add_argument("nets", nargs="+", metavar="NAME=PATH", help="checkpoints and what to call them")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page; all scores go beside it as .csv")
    parser.add_argument("--results", type=Path, default=Path("out/table3"), help="rows, estimates and report")
    parser.add_argument("--ours", default="MMTM time", help="the net that the others are compared with item by item")
    parser.add_argument(
        "--paper-list", default="three-talkers-paper", help="the list that is like the paper's mixtures"
    )
    parser.add_argument("--jobs", type=int, help="processes; one per core by default")
    parser.add_argument("--limit", type=int, help="items of each list")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    options = parser.parse_args(arguments)
    try:
        print(run(options))
    except AvseError as error:
        parser.exit(error.exit_code, f"{error.message}\n{error.hint}\n")


if __name__ == "__main__":
    main()
