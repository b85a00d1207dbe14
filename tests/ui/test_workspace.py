"""Uploads are gone when the server is, however it ended."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avse.ui.workspace import temporary_workspace

PROGRAM = """
import time
from avse.ui.workspace import temporary_workspace
with temporary_workspace() as folder:
    (folder / "upload.mp4").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(60)
"""


def gone(folder: Path, seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return not folder.exists()


def test_folder_is_private_and_removed_at_the_end() -> None:
    with temporary_workspace() as folder:
        (folder / "upload.mp4").touch()
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_folder_is_removed_when_the_process_is_killed(end: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().decode().strip())
        assert (folder / "upload.mp4").exists()
        process.send_signal(end)
        process.wait(100)
    assert gone(folder)
