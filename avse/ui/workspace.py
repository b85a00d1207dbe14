"""A temporary folder that is removed when its process ends, however it ends."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_REMOVE_AT_END = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"


@contextmanager
def temporary_workspace() -> Iterator[Path]:
    """Make a private folder for uploads and results, and remove it at the end.

    A small process waits on a pipe until this one is gone, so that nothing stays behind even after SIGKILL.
    """
    with tempfile.TemporaryDirectory(prefix="avse-ui-", ignore_cleanup_errors=True) as name:
        command = [sys.executable, "-I", "-S", "-c", _REMOVE_AT_END, name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as remover:
            assert remover.stdin is not None
            try:
                yield Path(name)
            finally:
                remover.stdin.close()
