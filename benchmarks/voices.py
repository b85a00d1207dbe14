"""Measure the outputs of all faces in real recordings without a reference: DNSMOS, and how much they differ.

    python benchmarks/voices.py RECORDING... [--model avse]

"Down" is the share of half seconds in which the output is more than 10 dB below the mixture; half seconds in which the
mixture is quiet (40 dB below its maximum) do not count. "Alike" is the highest correlation over time of the level in dB
with the level of another face.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from avse.enhancement.all_speakers import enhance_all
from avse.evaluation.dnsmos import overall
from avse.io import reader

RATE = 16000


def levels(audio: np.ndarray) -> np.ndarray:
    """Compute the level in dB of every half second of audio (N,)."""
    size = RATE // 2
    blocks = audio[: len(audio) // size * size].reshape(-1, size)
    return 10 * np.log10(np.square(blocks).mean(1) + 1e-9)


def load(path: Path) -> np.ndarray:
    return reader.load_audio(reader.probe(path), RATE)[:, 0]


def rows(recording: Path, model: str) -> list[str]:
    """Return a row of the table for the unprocessed recording, and one for each face that moves its mouth."""
    before = load(recording)
    level = levels(before)
    lines = [f"| {recording.name} | unprocessed | {overall(before):.2f} | | |"]
    with tempfile.TemporaryDirectory() as scratch:
        facts = enhance_all(recording, Path(scratch, "out"), model=model)
        files = {number: face["audio"] for number, face in enumerate(facts["faces"], 1) if face["audio"]}
        voices = [load(Path(scratch, "out", file)) for file in files.values()]
    loud = level > level.max() - 40
    alike = np.corrcoef([levels(voice)[loud] for voice in voices]) if len(voices) > 1 else np.full((1, 1), np.nan)
    np.fill_diagonal(alike, -1.0)
    for number, (face, audio) in enumerate(zip(files, voices, strict=True)):
        down = (levels(audio) < level - 10)[loud].mean()
        other = f"{alike[number].max():.2f}" if len(voices) > 1 else ""
        lines.append(f"| | face {face} | {overall(audio):.2f} | {down:.0%} | {other} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--model", default="avse")
    options = parser.parse_args()
    print("| recording | audio | DNSMOS | down | alike |\n|---|---|---|---|---|")
    for recording in options.recordings:
        print("\n".join(rows(recording, options.model)), flush=True)


if __name__ == "__main__":
    main()
