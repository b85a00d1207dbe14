"""Measurements in new processes: the time of `enhance` from end to end, its memory, and the start-up time of avse."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from avse.errors import AvseError

_LOAD = """
import sys
from avse import enhance
from avse.weights.pretrained import load_model
load_model(*sys.argv[1:])
"""
_ENHANCE = """
import json, sys
from avse.profiling.process import measure_whole
print(json.dumps(measure_whole(*sys.argv[1:])))
"""


@dataclass(frozen=True)
class Whole:
    """Hold the time of `enhance` from end to end in seconds, the minimum of several runs; and its peak memory.

    The memory of ffmpeg's processes is not included.
    """

    seconds: float
    peak_megabytes: float


@dataclass(frozen=True)
class Start:
    """Hold the start-up times in seconds of Python, of Python with torch, and of Python with avse and its network."""

    python_seconds: float
    torch_seconds: float
    avse_seconds: float

    @property
    def beyond_torch_seconds(self) -> float:
        """Return the time that avse and its network add to torch."""
        return self.avse_seconds - self.torch_seconds


def run_whole(recording: Path, folder: Path, model: str, device: str, num_threads: int, repeat: int) -> Whole:
    """Enhance a recording into ``folder``, ``repeat`` times, in a fresh process. AvseError if that fails."""
    target = folder / "whole.wav"
    printed = _python(num_threads, _ENHANCE, str(recording), str(target), model, device, str(repeat))
    return Whole(**json.loads(printed.splitlines()[-1]))


def measure_whole(recording: str, target: str, model: str, device: str, repeat: str) -> dict[str, float]:
    """Return the values of `Whole`; called in a new process."""
    from avse.enhancement.pipeline import enhance
    from avse.weights.pretrained import load_model

    checkpoint = load_model(model, device)
    times = [enhance(recording, target, model=checkpoint, force=True).elapsed_seconds for _ in range(int(repeat))]
    return asdict(Whole(min(times), peak_megabytes()))


def run_start(model: str, device: str, num_threads: int, repeat: int) -> Start:
    """Start Python ``repeat`` times: alone, with torch, and with avse and its network; the minimum of each counts."""

    def start_seconds(*program: str) -> float:
        began = time.perf_counter()
        _python(num_threads, *program)
        return time.perf_counter() - began

    programs = ["pass"], ["import torch"], [_LOAD, model, device]
    return Start(*(min(start_seconds(*program) for _ in range(repeat)) for program in programs))


def peak_megabytes() -> float:
    """Return the peak memory of this process on Linux; elsewhere nan.

    The system's value for child processes cannot be used: it starts with that of the parent process.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii")) if status.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


def _python(num_threads: int, *program: str) -> str:
    """Run a program in a separate Python process with ``num_threads`` threads, and return its output."""
    environment = os.environ | {"OMP_NUM_THREADS": str(num_threads)}
    command = [sys.executable, "-c", *program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        words = re.findall(r"^[\w.]+(?:Error|Exception): (.+)$", done.stderr, re.MULTILINE)
        reason = words[-1] if words else f"exit code {done.returncode}"
        raise AvseError(f"avse does not run in a separate process: {reason}", "Check the installation: avse doctor")
    return done.stdout
