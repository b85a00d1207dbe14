"""Recognise an output that was made with other options, or from another version of its recording."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from avse.batch import storage
from avse.batch.rows import Row, Summary


def options_fingerprint(about: Summary) -> str:
    """Return a short text that differs for other models and options; a path of a model counts as absolute."""
    model = str(about.get("model", ""))
    values = [os.path.abspath(model) if os.path.isfile(model) else model, about.get("options", {})]
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:12]


def source_fingerprint(source: str) -> str | None:
    """Return size and time of modification of a local recording; None where they cannot be read."""
    if storage.is_url(source):
        return None
    try:
        status = Path(source).stat()
    except (OSError, ValueError):
        return None
    return f"{status.st_size} {status.st_mtime_ns}"


def differs(row: Row, options: str, source: str | None) -> bool:
    """Return whether a row is known to be of other options or of another recording; rows of former versions are not."""
    pairs = (row.get("options_fingerprint"), options), (row.get("source_fingerprint"), source)
    return any(then is not None and now is not None and then != now for then, now in pairs)
