"""Recognise words of GRID from lips, optical flow and audio: the fusions of the papers against late fusion.

TRAIN and TEST are folders of prepared clips (`avse prepare`) of different speakers. Clips whose names are not GRID
sentences are left out. Finished rows are kept in RESULTS: run the command again to resume. On a page that exists,
only the text between the marks is replaced.

    python benchmarks/grid_words.py --train TRAIN... --test TEST... --output grid-words.md
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import chain, compress, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from grid_clips import MEL_PER_FRAME, WORDS, Sentence, clip_files, load_sentences
from grid_nets import FUSIONS, Fusion, WordNet
from marked_page import add_force, check_page, write_page
from row_file import fingerprint, of_data, open_rows, write_rows
from torch import Tensor

from avse.evaluation.statistics import mean_of
from avse.io.jsonl import read_jsonl

TITLE = "Words of GRID from lips, optical flow and audio"
BATCH_SIZE = 16
RATE = 2e-3
WEIGHT_DECAY = 1e-3
NUM_STEPS = 32
"""Number of time steps to which every sentence is resampled."""
JITTER = 2.0
"""Maximum shift in training: of either end of a sentence in frames, and of a face in pixels."""
APART = ("speakers", "sentences")
"""What training and test do not share: speakers; or sentences, with all speakers in both."""
THIRDS = 3
INPUTS = {"lips + flow": False, "lips + flow + audio": True}
Row = dict[str, Any]


def make_inputs(sentences: Sequence[Sentence], rng: np.random.Generator | None = None) -> list[Tensor]:
    """Return lips and flow (B, 2, T, H, W) and audio (B, F, 4 T) of the spoken parts, augmented if ``rng`` is given.

    The second channel of the lips is their difference to the mean of the sentence.
    """
    found = [_inputs(each, rng) for each in sentences]
    return [torch.from_numpy(np.stack(column)) for column in zip(*found, strict=True)]


def _inputs(sentence: Sentence, rng: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, last = np.add(sentence.span, 0 if rng is None else rng.uniform(-JITTER, JITTER, 2))
    places = np.linspace(first, last, NUM_STEPS, endpoint=False)
    frames = places.astype(int).clip(0, len(sentence.lips) - 1)
    steps = (np.linspace(first, last, NUM_STEPS * MEL_PER_FRAME, endpoint=False) * MEL_PER_FRAME).astype(int)
    audio = sentence.audio[:, steps.clip(0, sentence.audio.shape[1] - 1)]
    lips = np.stack([sentence.lips[frames], sentence.lips[frames] - sentence.lips.mean(0)])
    flow = sentence.flow[frames].swapaxes(0, 1)
    if rng is not None:
        lips, flow = _vary(lips, flow, rng)
        audio = audio + rng.normal(0, 0.2, audio.shape).astype(np.float32)
    return lips, flow, audio


def _vary(lips: np.ndarray, flow: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Shift the face by some pixels, and mirror it half of the time, with the horizontal flow reversed."""
    by = tuple(rng.integers(-int(JITTER), int(JITTER), 2, endpoint=True))
    lips, flow = (np.roll(x, by, (2, 3)) for x in (lips, flow))
    if rng.random() < 0.5:
        lips, flow = lips[..., ::-1], flow[..., ::-1] * np.float32([1, -1])[:, None, None, None]
    return lips.copy(), flow.copy()


def labels_of(sentences: Sequence[Sentence]) -> Tensor:
    """Return the indices of colour, letter and digit (B, 3)."""
    return torch.tensor([each.words for each in sentences])


def train(fusion: Fusion, with_audio: bool, sentences: Sequence[Sentence], steps: int, seed: int) -> WordNet:
    """Train one network on the cross-entropies of all three words, for the mean and for every branch."""
    torch.manual_seed(seed)
    net, rng = WordNet(fusion, with_audio), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        batch = [sentences[index] for index in rng.choice(len(sentences), BATCH_SIZE)]
        joined, branches = net(*make_inputs(batch, rng))
        labels = labels_of(batch).unbind(1)
        pairs = [zip(logits, labels, strict=True) for logits in (joined, *branches)]
        loss = torch.stack([F.cross_entropy(found, true) for each in pairs for found, true in each]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


@torch.no_grad()
def score(net: WordNet, sentences: Sequence[Sentence]) -> dict[str, list[bool]]:
    """Return which of its three words are recognised for every sentence, by ``SPEAKER/NAME``."""
    joined, _ = net(*make_inputs(sentences))
    right = torch.stack([logits.argmax(1) for logits in joined], 1) == labels_of(sentences)
    names = [f"{each.speaker}/{each.name}" for each in sentences]
    return dict(zip(names, right.tolist(), strict=True))


def split(
    apart: str, seed: int, training: Sequence[Sentence], test: Sequence[Sentence]
) -> tuple[Sequence[Sentence], Sequence[Sentence]]:
    """Return training and test sentences: of different speakers, or two thirds and one third of all, at random.

    Three successive seeds test each sentence once. The thirds must be random: in the order of GRID's names the digits
    cycle, so that taking every third name would give many of some digits and none of others.
    """
    if apart == "speakers":
        return training, test
    everyone = [*training, *test]
    order = np.random.default_rng(seed // THIRDS).permutation(len(everyone))
    held_out = order % THIRDS == seed % THIRDS
    return list(compress(everyone, ~held_out)), list(compress(everyone, held_out))


def read_rows(path: Path) -> list[Row]:
    """Read the finished rows; inputs are called "lips + flow + audio", also if an earlier version wrote "sound"."""
    return [row | {"inputs": row["inputs"].replace("sound", "audio")} for row in read_jsonl(path)[1]]


def data_of(options: argparse.Namespace) -> str:
    """Return the fingerprint of the prepared clips of both parts."""
    parts = (chain.from_iterable(map(clip_files, folders)) for folders in (options.train, options.test))
    return fingerprint(*parts)


def experiment(options: argparse.Namespace, rows: Sequence[Row]) -> Iterator[Row]:
    """Train and score every fusion with every split, inputs and seed, except for finished rows."""
    parts = load_sentences(options.train), load_sentences(options.test)
    people = [sorted({each.speaker for each in part}) for part in parts]
    if not all(parts) or set(people[0]) & set(people[1]):
        raise SystemExit(f"Training and test need GRID sentences of different speakers; found {people}.")
    done = {(row["apart"], row["inputs"], row["seed"], row["fusion"]) for row in rows if row["steps"] == options.steps}
    for key in product(options.apart, INPUTS, range(options.seeds), FUSIONS):
        apart, inputs, seed, fusion = key
        if key not in done:
            learned, tested = split(apart, seed, *parts)
            right = score(train(fusion, INPUTS[inputs], learned, options.steps, seed), tested)
            speakers = sorted({each.speaker for each in learned})
            facts = {"steps": options.steps, "num_training": len(learned), "training": speakers, "right": right}
            yield {"apart": apart, "inputs": inputs, "seed": seed, "fusion": fusion, "data": options.data, **facts}


def shares(rows: Sequence[Row], fusion: str, kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the share of correct words in % of every test sentence, for each seed that tests it."""
    columns = [list(WORDS).index(kind) for kind in kinds]
    found: dict[str, list[float]] = {}
    for row in (row for row in rows if row["fusion"] == fusion):
        for name, right in row["right"].items():
            found.setdefault(name, []).append(100 * float(np.mean([right[column] for column in columns])))
    return {name: np.array(values) for name, values in sorted(found.items())}


def accuracy(rows: Sequence[Row], fusion: str, kinds: Sequence[str]) -> str:
    """Return the mean over all tests and the standard deviation between the seeds, as text."""
    own = [row for row in rows if row["fusion"] == fusion]
    means = [np.mean([values.mean() for values in shares([row], fusion, kinds).values()]) for row in own]
    return f"{np.mean(means):.1f}" + (f" ± {np.std(means, ddof=1):.1f}" if len(means) > 1 else "")


def gap(rows: Sequence[Row], fusion: str) -> list[str]:
    """Return the difference to late fusion over all words: mean over the seeds, 95 % interval over test sentences.

    Also the number of test sentences that would narrow the interval to ± 1 point, if they vary as these do.
    """
    if fusion == "late":
        return ["-", "-"]
    own, late = (shares(rows, name, list(WORDS)) for name in (fusion, "late"))
    gaps = np.array([(own[name] - late[name]).mean() for name in own])
    mean, needed = mean_of(gaps), (1.96 * np.std(gaps, ddof=1)) ** 2 if len(gaps) > 1 else np.nan
    return [f"{mean.value:+.1f} ({mean.low:+.1f} to {mean.high:+.1f})", f"{needed:.0f}"]


def accuracy_table(rows: Sequence[Row]) -> list[str]:
    """Return a table with the accuracy of each fusion and its difference to late fusion."""
    heads = ["fusion", "parameters, thousand", *WORDS, "all words", "minus late (95 %)", "sentences for ± 1"]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for fusion in FUSIONS:
        size = sum(p.numel() for p in WordNet(fusion, INPUTS[rows[0]["inputs"]]).parameters()) / 1000
        cells = [accuracy(rows, fusion, kinds) for kinds in (*([kind] for kind in WORDS), list(WORDS))]
        lines.append("| " + " | ".join([fusion, f"{size:.1f}", *cells, *gap(rows, fusion)]) + " |")
    return lines


def section(rows: Sequence[Row], apart: str, inputs: str) -> list[str]:
    """Return heading, facts and table of one split and kind of input; empty until one seed has every fusion."""
    found = [row for row in rows if (row["apart"], row["inputs"]) == (apart, inputs)]
    counts = Counter(row["seed"] for row in found)
    own = [row for row in found if counts[row["seed"]] == len(FUSIONS)]
    if not own:
        return []
    tested = sorted({name for row in own for name in row["right"]})
    people = ", ".join(dict.fromkeys(name.partition("/")[0] for name in tested))
    seeds = len({row["seed"] for row in own})
    facts = (
        f"{own[0]['num_training']} sentences of {', '.join(own[0]['training'])} in training; tests on {len(tested)} of "
    )
    return [
        "",
        f"## {apart.capitalize()} apart, {inputs}",
        "",
        f"{facts}{people}; {seeds} seeds.",
        "",
        *accuracy_table(own),
    ]


def page_parts(rows: Sequence[Row]) -> dict[str, str]:
    """Return the parts of the page: how it was made, tables, the method."""
    chances = ", ".join(f"{kind} {100 / len(words):.0f}" for kind, words in WORDS.items())
    made = [
        "Made by `python benchmarks/grid_words.py --train TRAIN... --test TEST... --output grid-words.md` on "
        f"{date.today()}, torch {torch.__version__}, Python {platform.python_version()}, one thread.",
        "",
        "Accuracy in %: mean and standard deviation over the seeds. The difference to late fusion is over all words: "
        "mean over the seeds, 95 % bootstrap interval over the test sentences. The last column is the number of test "
        f"sentences that would narrow the interval to ± 1 point. Chance: {chances}.",
    ]
    lines: list[str] = []
    for apart, inputs in product(APART, INPUTS):
        lines += section(rows, apart, inputs)
    method = Path(__file__).with_name("grid_words.txt").read_text().replace("{steps}", str(rows[0]["steps"]))
    return {"made": "\n".join(made), "scores": "\n".join(lines), "method": method}


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="folders of prepared clips")
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="the same with other speakers")
    parser.add_argument("--apart", choices=APART, nargs="+", default=APART, help="what training and test do not share")
    parser.add_argument("--seeds", type=int, default=3, help="number of trainings of each fusion")
    parser.add_argument("--steps", type=int, default=120, help="training steps; each is a batch of 16 sentences")
    parser.add_argument("--results", type=Path, help="finished rows (default: beside the page, .jsonl)")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page")
    add_force(parser)
    options = parser.parse_args(arguments)
    check_page(parser, options)
    options.results = options.results or options.output.with_suffix(".jsonl")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not finished, and write the page."""
    options = read_options(arguments)
    torch.set_num_threads(1)
    options.data = data_of(options)
    with open_rows(options.results) as file:
        for row in experiment(options, of_data(read_rows(options.results), options.data)):
            write_rows(file, [row])
            print(row["apart"], row["inputs"], row["seed"], row["fusion"], file=sys.stderr, flush=True)
    finished = of_data(read_rows(options.results), options.data)
    rows = [row for row in finished if row["steps"] == options.steps]
    write_page(options.output, TITLE, page_parts(rows), options.force)


if __name__ == "__main__":
    main()
