"""A batch of a scripted job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from batch_jobs import Batch, Scripted

from avse.batch import run
from avse.batch.discovery import Item
from avse.batch.settings import Settings


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "in" / "out"


@pytest.fixture
def batch(tmp_path: Path, out: Path) -> Batch:
    """Run the scripted job on items; two workers."""
    (tmp_path / "starts").mkdir()

    def go(items: list[Item], **settings: Any) -> dict[str, Any]:
        rows: list[Any] = []
        settings = {"output": str(out), "results": out, "num_workers": 2} | settings
        summary = run(Scripted(tmp_path / "starts"), items, Settings(**settings), lambda *words: None, rows.append)
        return summary | {"rows": {row["item"]: row for row in rows}, "num_rows": len(rows)}

    return go
