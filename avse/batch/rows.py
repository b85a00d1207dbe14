"""Types of the rows of results.jsonl and of summary.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class Facts(TypedDict, total=False):
    """Hold the values that a worker returns for an item and a row keeps."""

    duration_seconds: float | None
    num_faces: int | None
    seen_share: float | None
    note: str | None
    model: str | None
    host: str | None
    scores: Mapping[str, Any] | None
    elapsed_seconds: float | None
    losses: Sequence[str] | None
    """What the output lacks."""
    is_audio_output: bool
    """Whether the recording had no video, so that its ``audio_output`` was written."""


class _Required(Facts):
    item: str
    status: Literal["done", "skipped", "failed"]


class Row(_Required, total=False):
    """Hold the outcome of one item."""

    source: str
    output: str
    error: str | None
    hint: str | None
    attempts: int
    may_replace: bool
    """Whether the work was allowed to replace an output that was there."""
    options_fingerprint: str
    source_fingerprint: str | None
    """Those of the model and the options, and of the recording, that the output was made with."""
    finished: str


class Summary(TypedDict, total=False):
    """Hold counts and times of a run, and its settings: model, device, engine, suffix, options."""

    avse: str
    model: str
    device: str
    engine: str
    suffix: str
    options: Mapping[str, Any]
    passed_over: Mapping[str, str]
    workers: int
    started: str
    ended: str
    stopped: str | None
    items: int
    done: int
    skipped: int
    kept: int
    """Those of the skipped items whose outputs are not what was asked for."""
    failed: int
    incomplete: int
    left: int
    recording_seconds: float
    elapsed_seconds: float
    times_real_time: float
