"""What it takes to start and to end Ray within a test, on a busy machine too."""

from __future__ import annotations

import gc
import subprocess
from collections.abc import Callable
from typing import Any


def patiently(start: Callable[[], Any], num_attempts: int = 3) -> Any:
    """Start a node, again where it took Ray longer than it waits, which is 30 s."""
    import ray

    for attempt in range(num_attempts):
        try:
            return start()
        except Exception as error:  # Ray raises no other class
            if "timed out" not in str(error) or attempt == num_attempts - 1:
                raise
            ray.shutdown()
    raise AssertionError


def bury() -> None:
    """Wait for the processes that Ray has ended."""
    for process in gc.get_objects():
        if type(process) is subprocess.Popen and "/ray/" in str(process.args):
            process.wait(100)
