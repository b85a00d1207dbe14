"""Measure memory and time of `avse enhance` against the length of a recording; both should grow at most linearly.

The line is fitted to CPU time, which other work on the machine hardly changes.

    python benchmarks/length.py --output docs/length.md
    python benchmarks/length.py --minutes 0.5 3 --size 640:360

A talking head of some seconds is scaled once and repeated by stream copy, so that making hours of video takes seconds.
Every recording is enhanced in a separate process. Its peak memory, with that of its ffmpeg processes, is the value that
the system reports after they have ended.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from batch import processor

from avse.data.synthetic.clips import make_clip
from avse.io.ffmpeg import ffmpeg_exe
from avse.parallel.local import num_cores

CLIP_SECONDS = 8.0
MINUTES = [1 / 6, 0.5, 1, 3, 10, 30, 60]
MEASURED = "import sys; from avse_cli.main import app; app(sys.argv[1:])"
ENCODING = ["-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-c:a", "aac", "-ar", "48000"]


@dataclass(frozen=True)
class Measured:
    """Hold the cost of one recording: wall time, CPU time of all cores, and the largest peak memory of a process."""

    minutes: float
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float

    @property
    def seconds(self) -> float:
        """Return the length of the recording in seconds."""
        return 60 * self.minutes


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def make_recordings(folder: Path, minutes: list[float], size: str) -> dict[float, Path]:
    """Make one file for each length, all from the same clip."""
    make_clip(folder / "clip.mp4", CLIP_SECONDS)
    ffmpeg("-i", folder / "clip.mp4", "-vf", f"scale={size}", *ENCODING, folder / "large.mkv")
    paths = {length: folder / f"{length:g}-minutes.mkv" for length in minutes}
    for length, path in paths.items():
        ffmpeg("-stream_loop", "-1", "-i", folder / "large.mkv", "-t", str(60 * length), "-c", "copy", path)
    return paths


def run(arguments: list[str], results: Any) -> None:
    """Run the command in a child of this new process, so that the measured children are only those of the command."""
    began = time.perf_counter()
    code = subprocess.run([sys.executable, "-c", MEASURED, *arguments], check=False).returncode
    wall_seconds = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    results.put((code, wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))


def measure(minutes: float, path: Path, suffix: str) -> Measured:
    context = get_context("spawn")
    results = context.Queue()
    command = ["enhance", str(path), "-o", str(path.with_name(f"out{suffix}")), "--force", "--quiet"]
    process = context.Process(target=run, args=(command, results))
    process.start()
    code, *taken = results.get()
    process.join()
    if code:
        sys.exit(f"avse failed with exit code {code}")
    return Measured(minutes, *taken)


def row(found: Measured) -> str:
    length = f"{found.minutes:g} min" if found.minutes >= 1 else f"{found.seconds:.0f} s"
    per_second = f"{found.wall_seconds / found.seconds:.3f} s | {found.cpu_seconds / found.seconds:.3f} s"
    return f"| {length} | {found.peak_megabytes:.0f} MB | {found.wall_seconds:.1f} s | {per_second} |"


def line(found: Sequence[Measured]) -> tuple[float, float]:
    """Fit CPU time through the shortest and the longest recording: seconds at length 0, and per second of recording."""
    first, last = found[0], found[-1]
    slope = (last.cpu_seconds - first.cpu_seconds) / max(last.seconds - first.seconds, 1e-9)
    return first.cpu_seconds - slope * first.seconds, slope


def page(found: Sequence[Measured], size: str, suffix: str, note: str = "") -> str:
    start, slope = line(found)
    off = max(abs(each.cpu_seconds / (start + slope * each.seconds) - 1) for each in found)
    width, height = size.split(":")
    more = found[-1].peak_megabytes / found[0].peak_megabytes - 1
    cores = "1 core" if num_cores() == 1 else f"{num_cores()} cores"
    lines = [
        "# Time and memory against length", "",
        f"A talking head, {width} x {height} at 25 frames/s, audio at 48 kHz, output {suffix}; `avse enhance` as a "
        f"command, start-up included; model `avse`; {cores} ({processor()}), no GPU; {date.today()}.", "",
        *([note, ""] if note else []),
        "![Time and memory against length](images/length.svg)", "",
        "| length | peak memory | wall time | wall time per second | CPU time per second |", "|---|---|---|---|---|",
        *map(row, found), "",
        f"CPU time is linear in the length: {start:.1f} s plus {slope:.3f} s per second of recording, within "
        f"{off:.0%}. Peak memory of the longest recording is {more:+.0%} compared with the shortest.", "",
        "```sh", "python benchmarks/length.py --output docs/length.md", "```",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def plot(found: Sequence[Measured], target: Path) -> None:
    """Plot CPU time with its line, and memory, on linear axes."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "avse"
    import matplotlib.pyplot as plt

    minutes = [each.minutes for each in found]
    start, slope = line(found)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot(minutes, [(start + slope * each.seconds) / 60 for each in found], color="0.7")
    left.plot(minutes, [each.cpu_seconds / 60 for each in found], "o")
    left.set(xlabel="length in minutes", ylabel="CPU time in minutes", title="CPU time")
    right.plot(minutes, [each.peak_megabytes for each in found], "o-")
    right.set(xlabel="length in minutes", ylabel="MB", title="peak memory")
    for axis in (left, right):
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=MINUTES, help="lengths to measure, in minutes")
    parser.add_argument("--size", default="1920:1080", help="width:height")
    parser.add_argument("--suffix", default=".wav", help="type of the output: .wav, .flac, .mp4, .mkv")
    parser.add_argument("--note", default="", help="sentence about the conditions, for the page")
    parser.add_argument("--output", type=Path, help="Markdown page to write; its plot goes into images/ beside it")
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for minutes, path in make_recordings(Path(scratch), sorted(asked.minutes), asked.size).items():
            found.append(measure(minutes, path, asked.suffix))
            print(row(found[-1]), flush=True)
            path.unlink()
    if asked.output:
        image = asked.output.parent / "images" / f"{asked.output.stem}.svg"
        image.parent.mkdir(parents=True, exist_ok=True)
        plot(found, image)
        asked.output.write_text(page(found, asked.size, asked.suffix, asked.note))


if __name__ == "__main__":
    main()
