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
from datetime import date
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


def evaluate(folder: Path, methods: dict[str, Method], rows: Path, limit: int | None) -> list[dict[str, object]]:
    """Score all items of all lists with all methods; what ``rows`` holds already is not done again."""
    found = [json.loads(line) for line in rows.read_text().splitlines()] if rows.exists() else []
    done = {(row["list"], row["item"], row["method"]) for row in found}
    with rows.open("a") as file:
        for recording in [path for one in sorted(folder.glob("*/mix")) for path in sorted(one.glob("*.mkv"))[:limit]]:
            name = recording.parent.parent.name
            reference = recording.parent.parent / "s1" / f"{recording.stem}.flac"
            for label, method in methods.items():
                if (name, recording.stem, label) not in done:
                    row = {"list": name, "item": recording.stem, "method": label}
                    found.append(row | score_item(reference, recording, method))
                    file.write(json.dumps(found[-1]) + "\n")
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
    parser.add_argument("--limit", type=int, help="items of each list")
    options = parser.parse_args()
    model = load_model(options.model)
    methods: dict[str, Method] = {"unprocessed": read}
    if options.rivals:
        methods["RNNoise (sound only)"] = rnnoise
    methods |= {"avse, picture ignored": enhancer(model, False), "avse": enhancer(model, True)}
    rows = evaluate(options.mixtures, methods, options.output.with_suffix(".jsonl"), options.limit)
    made = f"Made by `python benchmarks/mixtures.py` on {date.today()}, torch {torch.__version__}, {platform.machine()}"
    page = f"# Scores on mixtures\n\n{made}; checkpoint sha256 {model.sha256[:12]}.\n\n{table(rows, list(methods))}\n"
    options.output.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
