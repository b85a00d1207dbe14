"""``avse ui`` as a process of its own, which notes every address that it asks for."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 240
"""Python takes its time to end on a busy machine, with all that torch and Gradio load."""
PROGRAM = """
import os, sys
log = open(os.environ["ASKED"], "a", buffering=1)
def watch(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host is not None:
        log.write((host.decode() if isinstance(host, bytes) else str(host)) + "\\n")
sys.addaudithook(watch)
from avse_cli.main import app
app()
"""


@dataclass
class Running:
    """A server: its address, its process, the folder where temporary files go, and the files of its words."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    words: Path
    log: Path

    def asked(self) -> list[str]:
        """Every host that was asked for."""
        return self.log.read_text().split()

    def errors(self) -> str:
        """Return what was printed on standard error."""
        return self.words.read_text()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until_empty(folder: Path, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while any(folder.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)


@contextmanager
def serving(place: Path, *arguments: object, port: int = 0) -> Iterator[Running]:
    """Run ``avse ui`` and wait for its address, or for its end; it is ended by Ctrl-C."""
    folder, words, log = place / "tmp", place / "stderr", place / "asked"
    folder.mkdir()
    log.touch()
    port = port or free_port()
    command = [sys.executable, "-c", PROGRAM, "ui", "--no-browser", "--port", str(port), *map(str, arguments)]
    environment = os.environ | {"TMPDIR": str(folder), "ASKED": str(log), "OMP_NUM_THREADS": "1"}
    with (
        words.open("wb") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment) as process,
    ):
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], PATIENCE_SECONDS)
            assert ready, words.read_text()
            yield Running(process.stdout.readline().decode().split(" ")[0], process, folder, words, log)
        finally:
            process.send_signal(2)
            process.wait(PATIENCE_SECONDS)
            wait_until_empty(folder)
