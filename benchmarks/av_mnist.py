"""The SMIL paper's own experiment: pictures of digits and spoken digits, four in five sounds missing in training.

Pictures are the 8 x 8 digits that scikit-learn carries (or MNIST's, with --mnist); SOUNDS is a folder of spoken digits
named DIGIT_SPEAKER_NUMBER.flac. Imputer, regulariser and meta step are the library's. One thread, some minutes.

    python benchmarks/av_mnist.py SOUNDS --output docs/av-mnist.md
"""

from __future__ import annotations

import argparse
import platform
import shlex
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import torch
from digit_nets import METHODS, NUM_STEPS, VARIANTS, Answer, Method, Task
from digits import Digits, load_pictures, load_sounds, pair

LEARNING_RATES = (1e-3, 3e-3)
PAPER = {"image only": (92.0, None), "autoencoder": (89.8, 94.0), "SMIL": (94.9, 96.0)}


def accuracies(answer: Answer, digits: Digits) -> dict[str, float]:
    """Accuracy in % with image only, and with both where the method can hear."""
    found = {}
    with torch.no_grad():
        for name, heard in (("image only", 0.0), ("both", 1.0)):
            logits = answer(digits, heard)
            if logits is not None:
                found[name] = float((logits.argmax(1) == digits.labels).float().mean()) * 100
    return found


def trained(method: Method, task: Task, rate: float, seed: int) -> Answer:
    torch.manual_seed(seed)
    return method(task, rate, seed)


def best_rate(method: Method, task: Task, seed: int) -> float:
    """The learning rate that is best on the validation digits, over both tests."""

    def score(rate: float) -> float:
        return float(np.mean(list(accuracies(trained(method, task, rate, seed), task.validation).values())))

    return max(LEARNING_RATES, key=score)


def experiment(options: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Test accuracies of every method on every seed; each seed splits, pairs and hides anew.

    Each method's learning rate is chosen once, on the validation digits of the first seed.
    """
    clear, labels = load_pictures(options.mnist)
    pictures = clear + options.noise * np.random.default_rng(0).standard_normal(clear.shape)
    sounds = load_sounds(options.sounds)
    methods = METHODS | (VARIANTS if options.variants else {})
    rates: dict[str, float] = {}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    for seed in range(options.seeds):
        parts = pair(pictures, labels, sounds, (options.training, options.validation, options.test), seed)
        torch.manual_seed(seed)
        heard = torch.zeros(options.training)
        heard[torch.randperm(len(heard))[: round(0.2 * len(heard))]] = 1.0
        task = Task(parts[0], heard, *parts[1:], num_steps=options.steps)
        for name, method in methods.items():
            rates[name] = rates.get(name) or best_rate(method, task, seed)
            result = accuracies(trained(method, task, rates[name], seed), task.test)
            found[name].append(result | {"rate": rates[name]})
            print(seed, name, found[name][-1], file=sys.stderr, flush=True)
    return found


def row(name: str, results: list[dict[str, float]]) -> str:
    """One line of the table: mean and standard deviation over the seeds, and the paper's figures."""
    cells = []
    for index, test in enumerate(("image only", "both")):
        values = [result[test] for result in results if test in result]
        cells.append(f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if values else "-")
        published = PAPER.get(name, (None, None))[index]
        cells.append("-" if published is None else f"{published:.1f}")
    return f"| {name} | {' | '.join(cells)} | {results[0]['rate']:g} |"


def processor() -> str:
    """The machine's own name for its processor."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def page(found: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> str:
    """The whole page, with what was done and where the data differ from the paper's."""
    source = "MNIST" if options.mnist else "the 8 x 8 digits of scikit-learn"
    command = shlex.join(["python", "benchmarks/av_mnist.py", "SOUNDS", *sys.argv[2:]])
    return "\n".join(
        [
            "# Pictures of digits and spoken digits",
            "",
            f"Made by `{command}` on {date.today()}, torch {torch.__version__}, {processor()}, one thread.",
            "",
            "Accuracy in %, mean and standard deviation over "
            f"{options.seeds} seeds. Every training example has its picture, one in five its sound.",
            "",
            "| method | tested with image only | in the paper | tested with both | in the paper | learning rate |",
            "|---|---|---|---|---|---|",
            *(row(name, results) for name, results in found.items()),
            "",
            Path(__file__)
            .with_name("av_mnist.txt")
            .read_text()
            .format(source=source, **vars(options), heard=round(0.2 * options.training), rates=LEARNING_RATES),
        ]
    )


def main() -> None:
    """Read the command line, run, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sounds", type=Path, help="folder of spoken digits, DIGIT_SPEAKER_NUMBER.flac")
    parser.add_argument("--mnist", type=Path, help="folder with MNIST's train-images and train-labels (idx, also .gz)")
    parser.add_argument("--noise", type=float, default=0.2, help="deviation of the noise on pictures (0 to 1)")
    parser.add_argument("--training", type=int, default=1000, help="training examples")
    parser.add_argument("--validation", type=int, default=300, help="examples that the learning rate is chosen by")
    parser.add_argument("--test", type=int, default=450, help="test examples")
    parser.add_argument("--seeds", type=int, default=5, help="2 or more")
    parser.add_argument("--steps", type=int, default=NUM_STEPS, help="of every training")
    parser.add_argument("--variants", action="store_true", help="also SMIL with one thing changed at a time")
    parser.add_argument("--quick", action="store_true", help="2 seeds and 20 steps, to see that it runs")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.steps = 2, 20
    torch.set_num_threads(1)
    started = time.perf_counter()
    text = page(experiment(options), options)
    options.output.write_text(text)
    print(text)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
