"""Repeat SMIL's own experiment, av-MNIST: images of digits and spoken digits, most of the audio missing in training.

MNIST is a folder with t10k-images and t10k-labels, compressed or not. MNIST's training files are used if present.
DIGITS is a folder of spoken digits, DIGIT_SPEAKER_NUMBER.flac. Imputer, regularisers and meta step are the library's.
It takes one thread and some minutes per seed. Finished rows are kept in RESULTS: run the command again to resume.
On a page that exists, only the text between the marks is replaced.

    python benchmarks/av_mnist.py DIGITS --mnist MNIST --output docs/av-mnist.md
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from digit_training import METHODS, make_start, score
from digits import load_audio, load_mnist, make_task
from marked_page import add_force, check_page, write_page
from row_file import fingerprint, of_data, open_rows, write_rows

from avse.io.jsonl import read_jsonl

TESTS = {
    "image only": "image only, 450 images",
    "more images": "image only, all images of the test writers",
    "both": "both, 450 pairs",
}
PAPER = {"image only": (92.0, None), "autoencoder": (89.8, 94.0), "SMIL, released outer loss": (94.9, 96.0)}
"""Accuracies in % from the paper, with image only and with both, at 20 % of the audio."""
TITLE = "Images of digits and spoken digits: SMIL's av-MNIST"
SUBJECT = "SMIL, released outer loss"
Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Read the rows written so far; an unfinished line is left out."""
    return [_with_present_keys(row) for row in read_jsonl(path)[1]]


def _with_present_keys(row: Row) -> Row:
    """Return a row with the key "more images", also if an earlier version wrote it as "more pictures"."""
    former = {"more pictures": "more images"}
    return row | {"accuracy": {former.get(key, key): value for key, value in row["accuracy"].items()}}


def data_of(options: argparse.Namespace) -> str:
    """Return the fingerprint of the images and of the spoken digits."""
    images = [*options.mnist.glob("*-images*"), *options.mnist.glob("*-labels*")]
    return fingerprint(images, options.audio.glob("?_*_*.*"))


def experiment(options: argparse.Namespace, rows: Sequence[Row]) -> Iterator[Row]:
    """Train and score every method with every seed and share of audio, except for finished rows."""
    done = {(row["share"], row["seed"], row["steps"], row["method"]) for row in rows}
    asked = [(share, seed) for share in options.share for seed in range(options.seeds)]
    keys = [key for key in asked if any((*key, options.steps, name) not in done for name in options.methods)]
    if not keys:
        return
    images, audio = load_mnist(options.mnist), load_audio(options.audio)
    for share, seed in keys:
        start = make_start(make_task(images, audio, share, seed), seed)
        for name in options.methods:
            if (share, seed, options.steps, name) not in done:
                found = score(METHODS[name](start, options.steps, seed), start)
                facts = {"data": options.data, "accuracy": found}
                yield {"share": share, "seed": seed, "steps": options.steps, "method": name, **facts}


def values_of(rows: Sequence[Row], method: str, test: str) -> dict[int, float]:
    """Return the accuracies of a method in one test, by seed."""
    return {row["seed"]: row["accuracy"][test] for row in rows if row["method"] == method and test in row["accuracy"]}


def spread(values: Sequence[float], sign: str = "") -> str:
    """Return mean and standard deviation over the seeds as text."""
    if not values:
        return "-"
    deviation = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):{sign}.1f}{deviation}"


def accuracy_table(rows: Sequence[Row], with_paper: bool) -> list[str]:
    """Return a table of the accuracies of every method, with the paper's if they are for this share of audio."""
    heads = ["method", "seeds", *TESTS.values(), *(["paper: image only", "both"] if with_paper else [])]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name in METHODS:
        found = [list(values_of(rows, name, test).values()) for test in TESTS]
        if not found[0]:
            continue
        cells = [name, str(len(found[0])), *map(spread, found)]
        if with_paper:
            cells += ["-" if value is None else f"{value:.1f}" for value in PAPER.get(name, (None, None))]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def difference_table(rows: Sequence[Row]) -> list[str]:
    """Return a table of SMIL's differences to each other method over the seeds: mean, deviation, seeds above."""
    heads = [f"{SUBJECT} minus", *TESTS.values()]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name in METHODS:
        cells = []
        for test in TESTS:
            own, others = values_of(rows, SUBJECT, test), values_of(rows, name, test)
            gaps = [own[seed] - others[seed] for seed in own if seed in others]
            above = f" (above on {sum(gap > 0 for gap in gaps)} of {len(gaps)})" if gaps else ""
            cells.append(spread(gaps, "+") + above)
        if name != SUBJECT and cells[0] != "-":
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def page_parts(rows: Sequence[Row], options: argparse.Namespace) -> dict[str, str]:
    """Return the parts of the page: how it was made, tables, and the method with its differences from the paper."""
    command = shlex.join(["python", "benchmarks/av_mnist.py", "DIGITS", "--mnist", "MNIST", *options.given])
    made = [
        f"Made by `{command}` on {date.today()}, torch {torch.__version__}, one thread.",
        "",
        "Accuracy in %: mean and standard deviation over the seeds. Each seed draws its own images and takes.",
    ]
    lines: list[str] = []
    for share in options.share:
        chosen = [row for row in rows if row["share"] == share and row["steps"] == options.steps]
        if chosen:
            lines += ["", f"## {share:.0%} of the audio".replace("%", " %"), "", *accuracy_table(chosen, share == 0.2)]
            lines += ["", *difference_table(chosen)]
    method = Path(__file__).with_name("av_mnist.txt").read_text().replace("{steps}", str(options.steps))
    return {"made": "\n".join(made), "scores": "\n".join(lines), "method": method}


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", metavar="DIGITS", type=Path, help="folder of spoken digits, DIGIT_SPEAKER_NUMBER.flac")
    parser.add_argument("--mnist", type=Path, required=True, help="folder with MNIST's t10k files (idx, also .gz)")
    parser.add_argument("--share", type=float, nargs="+", default=[0.2], help="shares of the training takes with audio")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds; each has a split of its own")
    parser.add_argument("--steps", type=int, default=1000, help="training steps of each method")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS)[:7], help="methods to compare")
    parser.add_argument("--results", type=Path, help="finished rows (default: beside the page, .jsonl)")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page")
    add_force(parser)
    options = parser.parse_args(arguments)
    check_page(parser, options)
    options.results = options.results or options.output.with_suffix(".jsonl")
    typed = list(sys.argv[1:] if arguments is None else arguments)
    options.given = []
    for name in ("--share", "--seeds", "--steps"):
        if name in typed:
            value = getattr(options, name[2:])
            options.given += [name, *map(str, value if isinstance(value, list) else [value])]
    options.given += ["--output", options.output.name]
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is left to run, and write the page."""
    options = read_options(arguments)
    torch.set_num_threads(1)
    options.data = data_of(options)
    with open_rows(options.results) as file:
        for row in experiment(options, of_data(read_rows(options.results), options.data)):
            write_rows(file, [row])
            print(row, file=sys.stderr, flush=True)
    finished = of_data(read_rows(options.results), options.data)
    rows = [row for row in finished if row["method"] in options.methods]
    write_page(options.output, TITLE, page_parts(rows, options), options.force)


if __name__ == "__main__":
    main()
