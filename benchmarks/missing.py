"""Measure the loss from missing video: scores of checkpoints with all video, with gaps in the video, and without it.

MIXTURES has the same form as for benchmarks/mixtures.py. Faces are tracked once for every item. Then the mouth crops
are set to black in random gaps of one second; a shorter gap makes up the share. The gaps are the same for all
checkpoints. The rest is as in `avse enhance`. The page has means over all items; the rows of all items are kept beside
it as JSON lines: run the command again to resume. On a page that exists, only the text between the marks is replaced.

    python benchmarks/missing.py MIXTURES plain=runs/mmtm/best.safetensors smil=... --output missing.md
"""

from __future__ import annotations

import argparse
import platform
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from marked_page import add_force, check_page, write_page
from row_file import open_rows, write_rows

from avse.config import SAMPLE_RATE, SAMPLES_PER_FRAME, VIDEO_FPS
from avse.dsp.levels import compute_audio_stats
from avse.enhancement.streaming import FaceStream, enhance_blocks
from avse.evaluation.metrics import score
from avse.faces import detection, face_tracker, mouth_roi
from avse.io import jsonl, reader
from avse.weights import pretrained
from avse.weights.checkpoint import Checkpoint
from avse.weights.metadata import sha256
from avse.weights.pretrained import load_model

LOST = {"present": 0.0, "25 % lost": 0.25, "50 % lost": 0.5, "75 % lost": 0.75, "absent": 1.0}
SCORES = {"si_sdr_gain": ("SI-SDR improvement in dB", 2), "stoi": ("STOI", 3)}
Row = dict[str, str | float]


def random_gaps(num_frames: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Draw which frames (V,) are lost: a share of them, in separate gaps of one second and one for the remainder."""
    num_lost = round(share * num_frames)
    lengths = [VIDEO_FPS] * (num_lost // VIDEO_FPS) + [num_lost % VIDEO_FPS] * (num_lost % VIDEO_FPS > 0)
    lengths = [int(length) for length in rng.permutation(lengths)]
    places = np.sort(rng.choice(num_frames - num_lost + 1, min(len(lengths), num_frames - num_lost + 1), replace=False))
    lost = np.zeros(num_frames, bool)
    if len(places) < len(lengths):  # too few frames are left to separate the gaps
        lost[:num_lost] = True
        return lost
    for place, length, before in zip(places, lengths, np.cumsum([0, *lengths]), strict=False):
        lost[place + before : place + before + length] = True
    return lost


def enhanced(model: Checkpoint, audio: np.ndarray, mouths: np.ndarray) -> np.ndarray:
    """Enhance audio (N,) at 16 kHz with mouth crops (V, 88, 88) as `avse enhance` does."""
    blocks = [audio[:, None]]
    stats = compute_audio_stats(blocks, SAMPLE_RATE)
    made = enhance_blocks(model.net, blocks, SAMPLE_RATE, stats, [[FaceStream(iter(mouths[:, None]))]])
    return np.concatenate([block for (block,) in made])[:, 0]


def find_mouths(recording: reader.Recording, num_frames: int, detect: detection.Detector) -> np.ndarray:
    """Return the mouth crops (V, 88, 88) of the largest face, black where it is not visible."""
    tracks = face_tracker.track_faces(recording, detect, num_frames=num_frames)
    blocks = mouth_roi.crop_track(recording, tracks[0], num_frames) if tracks else mouth_roi.blank_crops(num_frames)
    return np.concatenate(list(blocks))


_models: dict[str, Checkpoint] = {}
_conditions: list[str] = []


def start_worker(models: dict[str, str], conditions: Sequence[str]) -> None:
    """Load the models, and limit this process to one thread."""
    torch.set_num_threads(1)
    _conditions[:] = conditions
    _models.update({name: load_model(path, "cpu") for name, path in models.items()})


def score_recording(path: Path, done: set[str]) -> list[Row]:
    """Return a row for each condition and each checkpoint that is not finished."""
    todo = {name: model for name, model in _models.items() if name not in done}
    if not todo:
        return []
    recording = reader.probe(path)
    clean = reader.load_audio(reader.probe(path.parent.parent / "s1" / f"{path.stem}.flac"))[:, 0]
    mixed = reader.load_audio(recording)[:, 0]
    num_frames = -(-len(mixed) // SAMPLES_PER_FRAME)
    mouths = find_mouths(recording, num_frames, detection.Detector(num_threads=1))
    item = {"list": path.parent.parent.name, "item": path.stem}
    rng = np.random.default_rng(zlib.crc32("/".join(item.values()).encode()))
    before = score(clean, mixed, SAMPLE_RATE, ["si_sdr"]).values["si_sdr"]
    rows: list[Row] = []
    values: dict[str, dict[str, float]] = {}
    for condition in _conditions:
        shown = mouths * ~random_gaps(num_frames, LOST[condition], rng)[:, None, None]
        for name, model in todo.items():
            if name not in values or model.net.lips is not None:  # without lips one enhancement is enough
                values[name] = score(clean, enhanced(model, mixed, shown), SAMPLE_RATE, ["si_sdr", "stoi"]).values
            scores = {"si_sdr_gain": values[name]["si_sdr"] - before, "stoi": values[name]["stoi"]}
            rows.append(item | {"method": name, "sha256": model.sha256, "video": condition} | scores)
    return rows


def with_present_keys(row: Row) -> Row:
    """Return a row with the key ``video``, also if an earlier version wrote it as ``picture``."""
    return row if "video" in row else row | {"video": row["picture"]}


def spread_out(paths: Sequence[Path], count: int | None) -> list[Path]:
    """Return ``count`` of the paths, evenly spaced: the first ones in alphabetical order are all of one person."""
    if count is None or count >= len(paths):
        return list(paths)
    return [paths[index * len(paths) // count] for index in range(count)]


def evaluate(options: argparse.Namespace, models: dict[str, str], hashes: dict[str, str], rows: Path) -> list[Row]:
    """Score all items of all lists, except for rows of the same checkpoints that are in ``rows``."""
    _, stored = jsonl.read_jsonl(rows)
    found: list[Row] = [with_present_keys(row) for row in stored if hashes.get(row["method"]) == row["sha256"]]
    folders = sorted(options.mixtures.glob("*/mix"))
    recordings = [path for folder in folders for path in spread_out(sorted(folder.glob("*.mkv")), options.limit)]
    done: dict[tuple[str, str], set[str]] = {(path.parent.parent.name, path.stem): set() for path in recordings}
    for row in found:
        done.setdefault((str(row["list"]), str(row["item"])), set()).add(str(row["method"]))
    finished = [done[path.parent.parent.name, path.stem] for path in recordings]
    start = partial(ProcessPoolExecutor, options.jobs, get_context("spawn"), start_worker, (models, options.video))
    with open_rows(rows) as file, start() as pool:
        for new in pool.map(score_recording, recordings, finished):
            found += new
            write_rows(file, new)
    return [row for name in models for row in found if row["method"] == name]


def interval(values: Sequence[float]) -> float:
    """Return half the width of the 95 % confidence interval of a mean."""
    return 1.96 * float(np.std(values, ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("nan")


def conditions_of(rows: Iterable[Row]) -> list[str]:
    """Return the conditions that the rows have, in order."""
    found = {row["video"] for row in rows}
    return [condition for condition in LOST if condition in found]


def table(rows: Iterable[Row], name: str, digits: int) -> str:
    """Return a table with the means of one score for every list and for all items; the latter with 95 % intervals."""
    rows = list(rows)
    lists, conditions = [*sorted({str(row["list"]) for row in rows}), "all"], conditions_of(rows)
    lines = [f"| list | items | method | {' | '.join(conditions)} |", "|---|---|---|" + "---|" * len(conditions)]
    for group in lists:
        own = [row for row in rows if group in ("all", row["list"])]
        for method in dict.fromkeys(row["method"] for row in own):
            mine = [row for row in own if row["method"] == method]
            cells, counts = [], set()
            for condition in conditions:
                values = [float(row[name]) for row in mine if row["video"] == condition]
                spread = f" ± {interval(values):.{digits}f}" if group == "all" else ""
                cells.append(f"{np.mean(values):.{digits}f}{spread}")
                counts.add(len(values))
            lines.append(f"| {group} | {'/'.join(map(str, counts))} | {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def differences(rows: Sequence[Row], name: str, digits: int, first: str) -> str:
    """Return a table of paired differences of one score to each other method: means over all items, 95 % intervals."""
    values = {(row["method"], row["video"], row["list"], row["item"]): float(row[name]) for row in rows}
    conditions = conditions_of(rows)
    lines = [f"| {first} minus | {' | '.join(conditions)} |", "|---|" + "---|" * len(conditions)]
    for other in dict.fromkeys(method for method, *_ in values if method != first):
        cells = []
        for condition in conditions:
            places = [key[2:] for key in values if key[:2] == (other, condition)]
            pairs = [
                values[(first, condition, *place)] - values[(other, condition, *place)]
                for place in places
                if (first, condition, *place) in values
            ]
            cells.append(f"{np.mean(pairs):+.{digits}f} ± {interval(pairs):.{digits}f}" if pairs else "-")
        lines.append(f"| {other} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Read the command line, evaluate, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mixtures", type=Path, help="folder of mixture lists")
    parser.add_argument("models", nargs="+", metavar="NAME=PATH", help="checkpoints with their names")
    parser.add_argument("--output", type=Path, required=True, help="Markdown page; the rows go beside it as .jsonl")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes")
    parser.add_argument(
        "--against", metavar="NAME", help="checkpoint to compare with each other one (default: the last)"
    )
    parser.add_argument("--video", nargs="+", choices=LOST, default=list(LOST), help="conditions (default: all)")
    parser.add_argument("--limit", type=int, help="number of items per list, evenly spaced")
    add_force(parser)
    options = parser.parse_args()
    check_page(parser, options)
    models = dict(entry.split("=", 1) for entry in options.models)
    hashes = {name: sha256(pretrained.find(path)) for name, path in models.items()}
    rows = evaluate(options, models, hashes, options.output.with_suffix(".jsonl"))
    nets = ", ".join(f"{name} {value[:12]}" for name, value in hashes.items())
    made = (
        f"Made by `benchmarks/missing.py` on {date.today()}, torch {torch.__version__}, {platform.machine()}: {nets}."
        " The lists are those of [Scores on mixtures](mixtures.md)."
        " How the networks were trained: [step 5 of the training log](experiments/training.md#step-5)."
    )
    parts = []
    for name, (title, digits) in SCORES.items():
        parts.append(f"## {title}\n\n{table(rows, name, digits)}")
        if len(models) > 1:
            against = options.against or list(models)[-1]
            parts.append(f"Paired differences over all items:\n\n{differences(rows, name, digits, against)}")
    print(write_page(options.output, "Missing video", {"made": made, "scores": "\n\n".join(parts)}, options.force))


if __name__ == "__main__":
    main()
