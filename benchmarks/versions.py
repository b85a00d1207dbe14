"""Run this version of avse and an earlier one in turn, each in a separate process; for benchmarks/speed.py."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ONCE = """
import resource, sys, time
from avse import enhance
try:
    from avse.weights.pretrained import load_model
except ImportError:  # name of the module until November 2026
    from avse.registry import load_model

def cpu_seconds():
    whose = resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, whose))

net = load_model()
for line in sys.stdin:
    cpu, began = cpu_seconds(), time.perf_counter()
    enhance(line.strip(), sys.argv[1], model=net, force=True)
    print(time.perf_counter() - began, cpu_seconds() - cpu, flush=True)
"""


def compare(earlier: Path, folder: Path, recordings: Mapping[str, Path], seconds: float, repeat: int) -> dict[str, Any]:
    """Measure seconds per second of recording of both versions in turn, and return the minimum of each.

    The result has CPU times, too, with those of ffmpeg: other work on the machine hardly changes them.
    """
    about = ["git", "-C", earlier, "log", "-1", "--format=%h of %as"]
    programs = {"now": sys.executable, "earlier": str(earlier.absolute() / ".venv" / "bin" / "python")}
    running = {name: begin(python, ONCE, folder, f"{name}.wav") for name, python in programs.items()}
    sizes = {}
    for size, path in recordings.items():
        times = dict[str, list[list[float]]](now=[], earlier=[])
        for _ in range(repeat):
            for name, process in running.items():
                assert process.stdin is not None
                assert process.stdout is not None
                print(path.absolute(), file=process.stdin, flush=True)
                times[name].append([float(taken) / seconds for taken in process.stdout.readline().split()])
        sizes[size] = _least(times, 0) | {"cpu": _least(times, 1)}
    for process in running.values():
        process.communicate()
    return {"commit": subprocess.check_output(about, text=True).strip(), "sizes": sizes}


def begin(python: str, program: str, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a program that reads and writes line by line, in ``folder``.

    In the current folder, Python would import the avse there instead of that of its environment.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([python, "-c", program, *arguments], cwd=folder, text=True, **pipes)


def _least(times: dict[str, list[list[float]]], kind: int) -> dict[str, float]:
    """Return the minimum wall time (kind 0) or CPU time (kind 1) of each version."""
    return {name: min(each[kind] for each in taken) for name, taken in times.items()}
