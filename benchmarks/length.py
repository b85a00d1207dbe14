"""Memory and time of `avse enhance` against the length of a recording.

    python benchmarks/length.py --minutes 2 120 --output docs/length.md

A talking head of some seconds is enlarged to 1080p once and repeated by stream copy, so that hours are made in seconds.
Every recording is enhanced by a process of its own; its peak memory, and that of its ffmpeg processes, is what the
system says when they have ended.
"""

from __future__ import annotations

import argparse
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from avse.data.synthetic import make_clip
from avse.sandbox import ffmpeg_exe

CLIP_SECONDS = 8.0
MEASURED = "import sys; from avse_cli.main import app; app(sys.argv[1:])"


def ffmpeg(*arguments: str | Path) -> None:
    subprocess.run([ffmpeg_exe(), "-hide_banner", "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def make_recordings(folder: Path, minutes: list[float], size: str) -> dict[float, Path]:
    """One file for each length, all from the same clip."""
    make_clip(folder / "clip.mp4", CLIP_SECONDS)
    enlarged = (
        "-vf",
        f"scale={size}",
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-g",
        "50",
        "-c:a",
        "aac",
        "-ar",
        "48000",
    )
    ffmpeg("-i", folder / "clip.mp4", *enlarged, folder / "large.mkv")
    paths = {length: folder / f"{length:g}-minutes.mkv" for length in minutes}
    for length, path in paths.items():
        ffmpeg("-stream_loop", "-1", "-i", folder / "large.mkv", "-t", str(60 * length), "-c", "copy", path)
    return paths


def measure(arguments: list[str], results: object) -> None:
    """Run the command in a child of this fresh process: whose children are all its own."""
    began = time.perf_counter()
    code = subprocess.run([sys.executable, "-c", MEASURED, *arguments], check=False).returncode
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    results.put((code, time.perf_counter() - began, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime))  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, nargs="+", default=[2, 120], help="lengths to measure")
    parser.add_argument("--size", default="1920:1080", help="width:height")
    parser.add_argument("--suffix", default=".wav", help="of the output: .wav, .flac, .mp4, .mkv")
    parser.add_argument("--output", type=Path, help="Markdown page to write")
    options = parser.parse_args()
    rows = ["| length | peak memory | time | time per second | CPU time per second |", "|---|---|---|---|---|"]
    peaks = []
    with tempfile.TemporaryDirectory() as scratch:
        for minutes, path in make_recordings(Path(scratch), options.minutes, options.size).items():
            context = get_context("spawn")
            results = context.Queue()
            command = ["enhance", str(path), "-o", str(path.with_name(f"out{options.suffix}")), "--force", "--quiet"]
            process = context.Process(target=measure, args=(command, results))
            process.start()
            code, seconds, peak_mb, cpu_seconds = results.get()
            process.join()
            if code:
                sys.exit(f"avse left with {code}")
            per_second = f"{seconds / minutes / 60:.2f} s | {cpu_seconds / minutes / 60:.2f} s"
            rows.append(f"| {minutes:g} min | {peak_mb:.0f} MB | {seconds:.0f} s | {per_second} |")
            print(rows[-1], flush=True)
            peaks.append(peak_mb)
    rows += ["", f"The longest needs {peaks[-1] / peaks[0] - 1:+.1%} memory against the shortest."]
    machine = f"{options.size} at 25 fps, {platform.processor() or platform.machine()}, {date.today()}"
    print(rows[-1])
    if options.output:
        options.output.write_text("\n".join(["# Memory against length", "", machine, "", *rows]) + "\n")


if __name__ == "__main__":
    main()
