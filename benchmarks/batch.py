"""Measure the speed-up of `avse batch`: the same short recordings file by file, with 1 and 2 jobs, and with Ray.

It writes a Markdown table of wall time, times real time, and CPU time per second of recording; other work on the
machine disturbs CPU time less. The Ray cluster is started before by `ray start`; this is not part of the time.

    python benchmarks/batch.py --count 20 --seconds 6 --output docs/batch-throughput.md
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from avse.data.synthetic.clips import make_clip

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Measured:
    """Hold the times of one command; CPU time is None if the workers are not children of this process."""

    name: str
    wall_seconds: float
    cpu_seconds: float | None


def write_recordings(folder: Path, count: int, seconds: float) -> None:
    """Make different talking heads of 320 x 240 pixels."""
    folder.mkdir()
    for number in range(count):
        make_clip(folder / f"{number:02}.mp4", seconds=seconds, seed=number)


def one_by_one(source: Path, target: Path) -> None:
    """Enhance one recording after another, as a loop in a shell would."""
    target.mkdir()
    for path in sorted(source.iterdir()):
        avse("enhance", path, "-o", target / f"{path.stem}.wav", "--quiet")


def batch(*options: str) -> Callable[[Path, Path], None]:
    """Return a call of ``avse batch`` with options."""
    return lambda source, target: avse("batch", source, "-o", target, "--quiet", *options)


def avse(*arguments: str | Path) -> None:
    subprocess.run([BIN / "avse", *map(str, arguments)], check=True)


def measure(name: str, work: Callable[[Path, Path], None], source: Path, target: Path, has_children: bool) -> Measured:
    """Measure the time for a folder, start-up included; every recording must have an output."""
    before, started = cpu_seconds(), time.perf_counter()
    work(source, target)
    wall, cpu = time.perf_counter() - started, cpu_seconds() - before
    assert len(list(target.glob("*.wav"))) == len(list(source.iterdir()))
    print(f"{name}: {wall:.1f} s", file=sys.stderr)
    return Measured(name, wall, cpu if has_children else None)


def cpu_seconds() -> float:
    """Return the CPU time of all child processes that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def cluster(num_cpus: int) -> Iterator[None]:
    """Run a Ray cluster on this machine by `ray start`, with token authentication."""
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
    start = [BIN / "ray", "start", "--head", f"--num-cpus={num_cpus}", "--include-dashboard=false", "--port=6399"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run([BIN / "ray", "stop"], check=True, stdout=subprocess.DEVNULL)


def measure_all(source: Path, scratch: Path, with_ray: bool) -> list[Measured]:
    ways = [("file by file: `avse enhance`", one_by_one)]
    ways += [(f"`avse batch --jobs {jobs}`", batch("--jobs", str(jobs))) for jobs in (1, 2)]
    found = [measure(name, work, source, scratch / f"local{n}", True) for n, (name, work) in enumerate(ways)]
    if with_ray:
        with cluster(2):
            for jobs in (1, 2):
                work = batch("--jobs", str(jobs), "--engine", "ray", "--address", "127.0.0.1:6399")
                name = f"`avse batch --engine ray --jobs {jobs}`"
                found.append(measure(name, work, source, scratch / f"ray{jobs}", False))
    return found


def page(found: list[Measured], count: int, seconds: float) -> str:
    """Return the page: the table and the conditions of the measurement."""
    total, slowest = count * seconds, found[0].wall_seconds
    load = os.getloadavg()[0]
    lines = [
        "# Throughput of `avse batch`",
        "",
        f"{count} synthetic talking heads of {seconds:g} s (320 x 240, 25 fps, one face), made by "
        f"`avse.data.synthetic`; model `avse`; {len(os.sched_getaffinity(0))} cores ({processor()}), load "
        f"{load:.1f} at the end, no GPU; {date.today()}; made by `benchmarks/batch.py`.",
        "",
        "| command | wall time, s | times real time | speed-up over file by file | CPU seconds per second |",
        "|---|---|---|---|---|",
    ]
    for way in found:
        cpu = "-" if way.cpu_seconds is None else f"{way.cpu_seconds / total:.2f}"
        gain = slowest / way.wall_seconds
        lines.append(f"| {way.name} | {way.wall_seconds:.1f} | {total / way.wall_seconds:.1f} | {gain:.2f} | {cpu} |")
    return "\n".join(lines) + "\n"


def processor() -> str:
    """Return the name of the processor, or the architecture if the system does not report the name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> None:
    """Measure, write the page, and write the figures beside it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="number of recordings")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each recording")
    parser.add_argument("--no-ray", action="store_true", help="leave Ray out")
    parser.add_argument("--output", type=Path, default=Path("docs/batch-throughput.md"), help="Markdown page")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        write_recordings(Path(scratch, "in"), asked.count, asked.seconds)
        found = measure_all(Path(scratch, "in"), Path(scratch), not asked.no_ray)
    text = page(found, asked.count, asked.seconds)
    asked.output.write_text(text)
    print(text)
    print(json.dumps({way.name: way.wall_seconds for way in found}))


if __name__ == "__main__":
    main()
