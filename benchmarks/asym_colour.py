"""Test AsymFusion's two claims on two images of a face: one shared encoder suffices, and the exchange helps.

The task is to predict the colours of video frames from edges and coarse luminance, for people not seen in training.
TRAIN and TEST are folders of PERSON/**/CLIP.mp4. Finished rows are kept in RESULTS: run the command again to resume.
On a page that exists, only the text between the marks is replaced.

    python benchmarks/asym_colour.py --train TRAIN... --test TEST... --output docs/experiments/asym-colour.md
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from colour_frames import Views, find_people, load_views
from colour_nets import Concatenated, Separate, Shared, SharedNorms
from marked_page import add_force, check_page, write_page
from row_file import fingerprint, of_data, open_rows, write_rows
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from avse.evaluation.statistics import mean_of
from avse.io.jsonl import read_jsonl

TITLE = "AsymFusion: colours of a face from edges and luminance"
BATCH_SIZE = 32
RATE = 2e-3
EXCHANGE_ON, EXCHANGE_OFF = "shared encoder, private norms, exchange", "shared encoder, private norms"
METHODS: dict[str, Callable[[], nn.Module]] = {
    "two encoders": Separate,
    "shared encoder, shared norms": SharedNorms,
    EXCHANGE_OFF: partial(Shared, exchange=False),
    EXCHANGE_ON: partial(Shared, exchange=True),
    "two encoders, concatenated": Concatenated,
}
OUTPUTS = ("ensemble", "from edges", "from luminance")
SCORES = {"psnr": "PSNR dB", "ssim": "SSIM"}
Row = dict[str, Any]


def train(build: Callable[[], nn.Module], views: Views, steps: int, seed: int) -> nn.Module:
    """Train one network on the absolute errors of every direction and of the ensemble."""
    torch.manual_seed(seed)
    net, rng = build(), np.random.default_rng(seed)
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        edges, luminance, colours = draw(views, rng)
        joined, directions = net(edges, luminance)
        loss = torch.stack([F.l1_loss(found, colours) for found in (joined, *directions)]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def draw(views: Views, rng: np.random.Generator) -> list[Tensor]:
    """Draw a batch of frames, half of them mirrored."""
    chosen = rng.integers(len(views.people), size=BATCH_SIZE)
    mirrored = rng.random(BATCH_SIZE) < 0.5
    images = [part[chosen] for part in (views.edges, views.luminance, views.colours)]
    return [torch.from_numpy(np.where(mirrored[:, None, None, None], x[..., ::-1], x).copy()) for x in images]


@torch.no_grad()
def predict(net: nn.Module, views: Views) -> dict[str, np.ndarray]:
    """Predict colours (N, 3, H, W) by output: of the ensemble, and of each direction if there are two."""
    found: list[list[np.ndarray]] = []
    for begin in range(0, len(views.people), BATCH_SIZE):
        batch = views.select(np.s_[begin : begin + BATCH_SIZE])
        joined, directions = net(torch.from_numpy(batch.edges), torch.from_numpy(batch.luminance))
        outputs = [joined, *directions] if len(directions) > 1 else [joined]
        found.append([each.numpy() for each in outputs])
    return dict(zip(OUTPUTS, map(np.concatenate, zip(*found, strict=True)), strict=False))


def score(estimates: np.ndarray, views: Views) -> dict[str, dict[str, float]]:
    """Compute PSNR in dB and SSIM as means over the frames of each person."""
    pairs = list(zip(views.colours, estimates, strict=True))
    frames = {
        "psnr": np.array([peak_signal_noise_ratio(true, found, data_range=1) for true, found in pairs]),
        "ssim": np.array([structural_similarity(true, found, data_range=1, channel_axis=0) for true, found in pairs]),
    }
    people = sorted(set(views.people))
    return {key: {str(p): float(values[views.people == p].mean()) for p in people} for key, values in frames.items()}


def experiment(options: argparse.Namespace, rows: Sequence[Row]) -> Iterator[Row]:
    """Train and score every method with every seed, except for finished rows."""
    parts = [
        load_views(options.train, options.cache / "train.npz"),
        load_views(options.test, options.cache / "test.npz"),
    ]
    if shared := set(parts[0].people) & set(parts[1].people):
        raise SystemExit(f"These people are in both training and test: {', '.join(sorted(shared))}.")
    done = {(row["method"], row["seed"], row["steps"]) for row in rows}
    for seed in range(options.seeds):
        for name, build in METHODS.items():
            if (name, seed, options.steps) not in done:
                net = train(build, parts[0], options.steps, seed)
                scores = {output: score(found, parts[1]) for output, found in predict(net, parts[1]).items()}
                facts = {"frames": [len(part.people) for part in parts], "data": options.data}
                yield {"method": name, "seed": seed, "steps": options.steps, "scores": scores, **facts}


def data_of(options: argparse.Namespace) -> str:
    """Return the fingerprint of the clips of both parts."""
    parts = (find_people(folders).values() for folders in (options.train, options.test))
    return fingerprint(*(chain.from_iterable(clips) for clips in parts))


def by_person(rows: Sequence[Row], method: str, output: str, key: str) -> np.ndarray:
    """Return the scores (seeds, people) of a method."""
    return np.array([list(r["scores"][output][key].values()) for r in rows if r["method"] == method])


def encoder_size(net: nn.Module) -> int:
    """Count the parameters before the decoder."""
    return sum(value.numel() for name, value in net.named_parameters() if name.startswith("encoder"))


def method_table(rows: Sequence[Row]) -> list[str]:
    """Return a table with size and scores of each method: mean over people, and its deviation between seeds."""
    heads = [
        "method",
        "encoder parameters, thousand",
        *(f"{name}, {output}" for output in OUTPUTS for name in SCORES.values()),
    ]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for method, build in METHODS.items():
        own = [row for row in rows if row["method"] == method]
        cells = [method, f"{encoder_size(build()) / 1000:.1f}"]
        for output in OUTPUTS:
            for key, digits in (("psnr", 2), ("ssim", 3)):
                has = own and output in own[0]["scores"]
                means = by_person(own, method, output, key).mean(1) if has else np.empty(0)
                spread = f" ± {means.std(ddof=1):.{digits}f}" if len(means) > 1 else ""
                cells.append(f"{means.mean():.{digits}f}{spread}" if len(means) else "-")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def difference_table(rows: Sequence[Row]) -> list[str]:
    """Return a table of the differences of the exchange to every other method: mean over seeds, 95 % over people."""
    lines = ["| exchange on minus | PSNR dB (95 %) | SSIM (95 %) |", "|---|---:|---:|"]
    for method in METHODS:
        seeds = [{row["seed"] for row in rows if row["method"] == name} for name in (method, EXCHANGE_ON)]
        pairs = [row for row in rows if row["seed"] in set.intersection(*seeds)]
        if method == EXCHANGE_ON or not pairs:
            continue
        cells = []
        for key, digits in (("psnr", 2), ("ssim", 3)):
            gap = by_person(pairs, EXCHANGE_ON, OUTPUTS[0], key) - by_person(pairs, method, OUTPUTS[0], key)
            mean = mean_of(gap.mean(0))
            cells.append(f"{mean.value:+.{digits}f} ({mean.low:+.{digits}f} to {mean.high:+.{digits}f})")
        lines.append(f"| {method} | {cells[0]} | {cells[1]} |")
    return lines


def page_parts(rows: Sequence[Row], steps: int) -> dict[str, str]:
    """Return the parts of the page: how it was made, tables, the method."""
    frames, people = rows[0]["frames"], len(rows[0]["scores"][OUTPUTS[0]]["psnr"])
    seeds = len({row["seed"] for row in rows})
    text = Path(__file__).with_name("asym_colour.txt").read_text()
    facts = {"{steps}": str(steps), "{training}": str(frames[0]), "{test}": str(frames[1]), "{people}": str(people)}
    for name, value in facts.items():
        text = text.replace(name, value)
    made = (
        "Made by `python benchmarks/asym_colour.py --train TRAIN... --test TEST... --output asym-colour.md` on "
        f"{date.today()}, torch {torch.__version__}, Python {platform.python_version()}, one thread."
    )
    lines = [
        "## Scores",
        "",
        f"Means over {people} test people; standard deviations over {seeds} seeds.",
        "",
        *method_table(rows),
        "",
        "Paired differences of the ensembles by person: means over seeds, 95 % bootstrap intervals over people.",
        "",
        *difference_table(rows),
    ]
    return {"made": made, "scores": "\n".join(lines), "method": text}


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="folders of PERSON/**/CLIP.mp4")
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="the same with other people")
    parser.add_argument("--seeds", type=int, default=3, help="number of trainings of each method")
    parser.add_argument("--steps", type=int, default=120, help="training steps; each is a batch of 32 frames")
    parser.add_argument("--results", type=Path, help="finished rows (default: beside the page, .jsonl)")
    parser.add_argument("--cache", type=Path, help="folder for the frames (default: that of the results)")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page")
    add_force(parser)
    options = parser.parse_args(arguments)
    check_page(parser, options)
    options.results = options.results or options.output.with_suffix(".jsonl")
    options.cache = options.cache or options.results.parent
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not finished, and write the page."""
    options = read_options(arguments)
    torch.set_num_threads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    options.data = data_of(options)
    with open_rows(options.results) as file:
        for row in experiment(options, of_data(read_jsonl(options.results)[1], options.data)):
            write_rows(file, [row])
            print(row["method"], row["seed"], file=sys.stderr, flush=True)
    finished = of_data(read_jsonl(options.results)[1], options.data)
    rows = [row for row in finished if row["steps"] == options.steps]
    write_page(options.output, TITLE, page_parts(rows, options.steps), options.force)


if __name__ == "__main__":
    main()
