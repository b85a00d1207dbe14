"""Scores on a folder of mixture lists: ``LIST/mix/ITEM.mkv`` (picture and mixture) and ``LIST/s1/ITEM.flac`` (clean).

Runs `avse enhance` itself on every item, with the picture and without, beside the unprocessed mixture and RNNoise on
the same items, and writes means over all items of each list as Markdown, and every item as JSON lines (resumable).

    python benchmarks/mixtures.py MIXTURES --model avse --output docs/mixtures.md
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import torch

from avse import media
from avse.checkpoint import Checkpoint
from avse.enhance import enhance
from avse.evaluation.metrics import score
from avse.registry import load_model

METRICS = ("pesq_wb", "stoi", "estoi", "si_sdr")
HEADINGS = ("PESQ-wb", "STOI", "ESTOI", "SI-SDR dB")
Method = Callable[[Path], np.ndarray]


def read(path: Path) -> np.ndarray:
    """Sound (N,) at 16 kHz."""
    return media.read_sound(media.probe(path))[:, 0]


def rnnoise(path: Path) -> np.ndarray:
    """RNNoise as PyPI's pyrnnoise ships it, which works at 48 kHz."""
    import soxr
    from pyrnnoise import RNNoise

    sound = soxr.resample(read(path), 16000, 48000)
    parts = [frame for _, frame in RNNoise(48000).denoise_chunk((sound * 32767).astype(np.int16)[None])]
    clean = np.concatenate(parts, axis=1)[0].astype(np.float32) / 32768
    return without_delay(np.asarray(soxr.resample(clean, 48000, 16000)), read(path))


def without_delay(estimate: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """An estimate shifted back by the delay (at most 50 ms) at which it correlates best with the mixture."""
    length = min(len(estimate), len(mixture)) - 800
    delay = max(range(800), key=lambda lag: float(estimate[lag : lag + length] @ mixture[:length]))
    return np.concatenate([estimate[delay:], np.zeros(delay, estimate.dtype)])


def enhancer(model: Checkpoint, use_video: bool) -> Method:
    """`avse enhance` through its front door, files and all."""

    def run(path: Path) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "clean.wav"
            enhance(path, output, model=model, use_video=use_video)
            return np.asarray(soundfile.read(output, dtype="float32")[0])

    return run


def score_item(reference: Path, recording: Path, method: Method) -> dict[str, float]:
    """Scores of one method on one item; ends are cut to the shorter."""
    clean, estimate = read(reference), method(recording)
    length = min(len(clean), len(estimate))
    return dict(score(clean[:length], estimate[:length], 16000).values)


def build_methods(model_name: str, rivals: bool) -> dict[str, Method]:
    """What is compared, in the order of the table."""
    model = load_model(model_name)
    methods: dict[str, Method] = {"unprocessed": read}
    if rivals:
        methods["RNNoise (sound only)"] = rnnoise
    return methods | {"avse, picture ignored": enhancer(model, False), "avse": enhancer(model, True)}


_methods: dict[str, Method] = {}


def start_worker(model_name: str, rivals: bool) -> None:
    """Each process loads the model once, and keeps to one thread."""
    torch.set_num_threads(1)
    _methods.update(build_methods(model_name, rivals))


def score_recording(recording: Path, done: set[str]) -> list[dict[str, object]]:
    """One row for each method that is not done yet."""
    reference = recording.parent.parent / "s1" / f"{recording.stem}.flac"
    name = {"list": recording.parent.parent.name, "item": recording.stem}
    todo = {label: method for label, method in _methods.items() if label not in done}
    return [name | {"method": label} | score_item(reference, recording, method) for label, method in todo.items()]


def evaluate(options: argparse.Namespace, rows: Path) -> list[dict[str, object]]:
    """Score all items of all lists with all methods; what ``rows`` holds already is not done again."""
    found = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    folders = sorted(options.mixtures.glob("*/mix"))
    recordings = [path for folder in folders for path in sorted(folder.glob("*.mkv"))[: options.limit]]
    done: dict[tuple[str, str], set[str]] = {(path.parent.parent.name, path.stem): set() for path in recordings}
    for row in found:
        done.setdefault((row["list"], row["item"]), set()).add(row["method"])
    finished = [done[path.parent.parent.name, path.stem] for path in recordings]
    start = (options.model, options.rivals)
    with rows.open("a") as file, ProcessPoolExecutor(options.jobs, get_context("spawn"), start_worker, start) as pool:
        for new in pool.map(score_recording, recordings, finished):
            found += new
            file.writelines(json.dumps(row) + "\n" for row in new)
            file.flush()
    return found


def table(rows: list[dict[str, object]], labels: list[str]) -> str:
    """Means over all items of each list, one table."""
    lines = ["| list | items | method | " + " | ".join(HEADINGS) + " |", "|---|---|---|" + "---|" * len(METRICS)]
    for name in sorted({str(row["list"]) for row in rows}):
        for label in labels:
            own = [row for row in rows if row["list"] == name and row["method"] == label]
            means = [statistics.fmean(float(str(row[metric])) for row in own) for metric in METRICS]
            cells = [f"{value:.3f}" if index < 3 else f"{value:.2f}" for index, value in enumerate(means)]
            lines.append(f"| {name} | {len(own)} | {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, evaluate, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", type=Path)
    parser.add_argument("--model", default="avse")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page; the rows go beside it as .jsonl")
    parser.add_argument("--rivals", action="store_true", help="also run RNNoise (pip install pyrnnoise)")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--limit", type=int, help="items of each list")
    options = parser.parse_args()
    rows = evaluate(options, options.output.with_suffix(".jsonl"))
    labels = list(dict.fromkeys(str(row["method"]) for row in rows))
    command = "python benchmarks/mixtures.py" + (" --rivals" if options.rivals else "")
    sha256 = load_model(options.model).sha256[:12]
    made = f"Made by `{command}` on {date.today()}, torch {torch.__version__}, {platform.machine()}; model {sha256}."
    page = f"# Scores on mixtures\n\n{made}\n\n{table(rows, labels)}\n"
    options.output.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
