"""Real recordings without a reference: a sound of every face, its DNSMOS, and how it differs from the others'.

    python benchmarks/voices.py RECORDING... [--model avse]

"Down" is the share of the half seconds with sound in which a face's sound lies more than 10 dB below the mixture's.
"Alike" is the correlation over time of the level, in dB, with that of the other face most like it.
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


def levels(sound: np.ndarray) -> np.ndarray:
    """Level in dB of every half second of sound (N,)."""
    size = RATE // 2
    blocks = sound[: len(sound) // size * size].reshape(-1, size)
    return 10 * np.log10(np.square(blocks).mean(1) + 1e-9)


def load(path: Path) -> np.ndarray:
    return reader.load_audio(reader.probe(path), RATE)[:, 0]


def rows(recording: Path, model: str) -> list[str]:
    """Return a line of the table for the recording as it is, and one for each face that moves its mouth."""
    before = load(recording)
    level = levels(before)
    lines = [f"| {recording.name} | as it is | {overall(before):.2f} | | |"]
    with tempfile.TemporaryDirectory() as scratch:
        facts = enhance_all(recording, Path(scratch, "out"), model=model)
        files = {number: face["audio"] for number, face in enumerate(facts["faces"], 1) if face["audio"]}
        sounds = [load(Path(scratch, "out", file)) for file in files.values()]
    loud = level > level.max() - 40
    alike = np.corrcoef([levels(sound)[loud] for sound in sounds]) if len(sounds) > 1 else np.full((1, 1), np.nan)
    np.fill_diagonal(alike, -1.0)
    for number, (face, sound) in enumerate(zip(files, sounds, strict=True)):
        down = (levels(sound) < level - 10)[loud].mean()
        other = f"{alike[number].max():.2f}" if len(sounds) > 1 else ""
        lines.append(f"| | face {face} | {overall(sound):.2f} | {down:.0%} | {other} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--model", default="avse")
    options = parser.parse_args()
    print("| recording | sound | DNSMOS | down | alike |\n|---|---|---|---|---|")
    for recording in options.recordings:
        print("\n".join(rows(recording, options.model)), flush=True)


if __name__ == "__main__":
    main()
