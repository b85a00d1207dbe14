"""What all tests with Ray share."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import batch_jobs
import pytest

TOKEN = uuid.uuid4().hex  # one for all files: Ray reads it once per process


@pytest.fixture(scope="module")
def ray_environment() -> Iterator[None]:
    """Before Ray is imported: a token, else it makes one in the home folder; and where its workers find these jobs."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "token")
        environment.setenv("RAY_AUTH_TOKEN", TOKEN)
        environment.setenv("PYTHONPATH", str(Path(batch_jobs.__file__).parent))
        yield
