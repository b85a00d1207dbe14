"""A job for tests of engines: each item's recording is a text file with instructions."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avse.batch.discovery import Item
from avse.batch.job import Work
from avse.batch.settings import Outcome
from avse.errors import InputError, MissingError, UsageError
from avse.progress import Report

Batch = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Scripted:
    """``start`` is what happens as a worker starts; every start leaves a file in ``starts``."""

    starts: Path
    start: str = "well"

    def __call__(self) -> Work:
        (self.starts / f"{os.getpid()}.{time.monotonic_ns()}").touch()
        if self.start == "dead":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.start == "unknown model":
            raise UsageError("There is no such model.", "Name another.")
        if self.start == "fault":
            raise RuntimeError("a fault")
        return obey


def obey(item: Item, report: Any) -> dict[str, Any]:
    """Follow the instructions of the recording; the output is a copy of them."""
    words = Path(item.source).read_text().split()
    report("obeying", 1.0, 2.0)
    Path(item.output).parent.mkdir(parents=True, exist_ok=True)
    marker = Path(item.source).with_suffix(".begun")
    is_first_time = not marker.exists()
    marker.touch()
    match words[0]:
        case "bad":
            raise InputError(f"{item.source} is bad.", "Make it good.")
        case "crash":
            raise ValueError("a fault\nof two lines")
        case "missing":
            raise MissingError("There is no such program.", "Install it.")
        case "die":
            _leave_half(item)
            os.kill(os.getpid(), signal.SIGKILL)
        case "die-with-child":
            Path(item.source).with_suffix(".pids").write_text(str(_in_its_own_session().pid))
            os.kill(os.getpid(), signal.SIGKILL)
        case "die-once" if is_first_time:
            _leave_half(item)
            os.kill(os.getpid(), signal.SIGKILL)
        case "sleep":
            with subprocess.Popen(["sleep", "1000"]) as child, _in_its_own_session() as other:
                Path(item.source).with_suffix(".pids").write_text(f"{os.getpid()} {child.pid} {other.pid}")
            time.sleep(1000)  # where the child is killed before this process, the work is not done
        case "meet":  # another worker must be at work at the same time
            wait_for((Path(item.source).parent / f"{words[1]}.begun").exists)
        case "audio":
            Path(item.audio_output).write_text("audio")
            return {"is_audio_output": True, "duration_seconds": 1.0}
        case "nap":
            time.sleep(float(words[1]))
    Path(item.output).write_text(" ".join(words))
    return {"pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"], "duration_seconds": 1.0}


class Sleepy:
    """Doubles numbers, slowly."""

    def __init__(self, notes: Path, seconds: float) -> None:
        self.notes, self.seconds = notes, seconds

    def __call__(self, number: int, report: Report) -> int:
        (self.notes / "pid").write_text(str(os.getpid()))
        try:
            time.sleep(self.seconds)
        finally:
            (self.notes / "tidied").touch()
        if number < 0:
            raise RuntimeError(f"no\nnumber {number}")
        return 2 * number


def _in_its_own_session() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"], start_new_session=True)


def _leave_half(item: Item) -> None:
    path = Path(item.output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(f".{path.stem[:20]}.0123abcd.part{path.suffix}").touch()


def write_items(folder: Path, *words: str) -> list[Item]:
    """Items 00, 01, ... with these words."""
    folder.mkdir(exist_ok=True)
    for number, text in enumerate(words):
        (folder / f"{number:02}.txt").write_text(text)
    names = [f"{number:02}.txt" for number in range(len(words))]
    return [Item(name, str(folder / name), str(folder / "out" / f"{name[:-4]}.wav")) for name in names]


def by_name(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    """Outcomes in the order of their items, each of which must have one."""
    names = [outcome.item.name[:-4] for outcome in outcomes]
    assert len(names) == len(set(names))
    return {name: outcomes[names.index(name)] for name in sorted(names)}


def counts(summary: dict[str, Any]) -> tuple[int, int, int, int]:
    """How many recordings are done, were skipped, have failed, and are left."""
    return summary["done"], summary["skipped"], summary["failed"], summary["left"]


def is_alive(pid: int) -> bool:
    """Whether a process exists that is not merely waiting to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition: Any, seconds: float = 240.0) -> Any:
    """The first true value of a condition."""
    patience = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < patience
        time.sleep(0.02)
    return value
