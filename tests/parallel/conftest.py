"""What all tests with Ray share."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import batch_jobs
import pytest

TOKEN = uuid.uuid4().hex  # one for all files: Ray reads it once per process


@pytest.fixture(scope="module")
def ray_environment() -> Iterator[None]:
    """Set up what Ray reads: a token, else it makes one in the home folder; where its workers find these jobs.

    Its files go to a folder of their own, apart from those of another cluster on this machine. Its name is short, as
    names of sockets have to be.
    """
    folder = tempfile.mkdtemp(prefix="ray")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_TMPDIR", folder)
        environment.setenv("RAY_AUTH_MODE", "token")
        environment.setenv("RAY_AUTH_TOKEN", TOKEN)
        environment.setenv("PYTHONPATH", str(Path(batch_jobs.__file__).parent))
        yield
    shutil.rmtree(folder, ignore_errors=True)
