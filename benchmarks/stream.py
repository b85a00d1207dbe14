"""Measure SI-SDR gain and time of live streams with shorter windows, steps and lookahead, as a Markdown table.

Items of one target speaker (the name up to the first "-") are joined to recordings of about ten seconds, as an item of
three seconds does not fill a window. Time is CPU time on one thread.

    python benchmarks/stream.py MIXTURES/two-talkers-0db MIXTURES/noise-5db --recordings 4
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path
from statistics import mean

import numpy as np
import soundfile
import torch

import avse
from avse.enhancement.enhancer import Enhancer
from avse.evaluation.metrics import si_sdr
from avse.io import reader

JOINED = 3
SETTINGS = [(8.0, 1.0, 0.2), (4.0, 0.4, 0.2), (4.0, 0.4, 0.0), (4.0, 0.2, 0.0), (2.0, 0.4, 0.2), (1.0, 0.2, 0.0)]
"""Window, step and lookahead in seconds."""


def joined(folder: Path, count: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return mixture (N,), reference (N,) and frames (V, H, W) of up to ``count`` recordings of different speakers."""
    found = []
    speakers = itertools.groupby(sorted((folder / "mix").iterdir()), lambda path: path.name.split("-")[0])
    for items in [list(paths)[:JOINED] for _, paths in speakers][:count]:
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for path in items:
            recording = reader.probe(path)
            audio, frames = reader.load_audio(recording)[:, 0], np.stack(list(reader.read_frames(recording)))
            clean, _ = soundfile.read(folder / "s1" / f"{path.stem}.flac", dtype="float32")
            whole = min(len(audio) // 640, len(frames))
            parts.append((audio[: 640 * whole], clean[: 640 * whole], frames[:whole]))
        mixture, clean, frames = (np.concatenate(column) for column in zip(*parts, strict=True))
        found.append((mixture, clean, frames))
    return found


def live(model: Enhancer, audio: np.ndarray, frames: np.ndarray, setting: tuple[float, float, float]) -> np.ndarray:
    """Enhance a recording as a stream, frame by frame."""
    window, step, lookahead = setting
    stream = avse.StreamEnhancer(
        16000, 25, model=model, window_seconds=window, step_seconds=step, lookahead_seconds=lookahead
    )
    blocks = [stream.push(audio[640 * k : 640 * (k + 1)], frames[k : k + 1]) for k in range(len(frames))]
    return np.concatenate([*blocks, stream.flush()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", type=Path, nargs="+", metavar="LIST", help="folder with mix/ITEM.mkv and s1/ITEM.flac")
    parser.add_argument("--recordings", type=int, default=4, help="number of recordings per list")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = avse.load_model("avse", "cpu")
    recordings = {folder.name: joined(folder, given.recordings) for folder in given.lists}
    seconds = sum(len(audio) for items in recordings.values() for audio, _, _ in items) / 16000
    count = sum(map(len, recordings.values()))
    print(f"{seconds:.0f} s in {count} recordings; SI-SDR gain in dB; CPU seconds per second of recording\n")
    print("| window, s | step, s | lookahead, s | latency, s | " + " | ".join(recordings) + " | CPU |")
    print("|---" * (5 + len(recordings)) + "|")
    for setting in [None, *SETTINGS]:
        started, gains = time.process_time(), []
        for items in recordings.values():
            found = [
                model.enhance(audio, 16000, frames, 25) if setting is None else live(model, audio, frames, setting)
                for audio, _, frames in items
            ]
            pairs = zip(items, found, strict=True)
            gains.append(mean(float(si_sdr(c, e, 16000)) - float(si_sdr(c, a, 16000)) for (a, c, _), e in pairs))
        spent = (time.process_time() - started) / seconds
        row = ["whole file", "-", "-", "-"]
        if setting is not None:
            row = [*(f"{value:g}" for value in setting), f"{setting[1] + setting[2] + 0.08:.2f}"]
        print("| " + " | ".join([*row, *(f"{gain:+.2f}" for gain in gains), f"{spent:.2f}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
