"""Types of the rows of results.jsonl and of summary.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict


class _Required(TypedDict):
    subset: str
    item: str
    method: str
    status: Literal["ok", "failed"]
    reason: str | None
    seconds: float
    elapsed_seconds: float
    scores: Mapping[str, float | None]
    video: str | None


class Row(_Required, total=False):
    """Hold the scores of one system on one item, with the paths of its files and its time by stage.

    ``picture`` is the former name of ``video``. ``fingerprint`` identifies the files that were scored.
    """

    mixture: str | None
    reference: str | None
    estimate: str | None
    picture: str | None
    fingerprint: str | None
    stage_seconds: dict[str, float]


class MeanScore(TypedDict):
    """Hold a mean score with its 95 % confidence interval over ``n`` items."""

    mean: float
    low: float
    high: float
    n: int


class Line(TypedDict):
    """Hold the mean scores of one system in one subset, by metric."""

    subset: str
    method: str
    n: int
    failed: int
    without_video: int
    without_picture: int
    mean: dict[str, MeanScore]
    improvement: dict[str, MeanScore]
    made_worse: float | None


class Summary(TypedDict, total=False):
    """Hold the contents of summary.json."""

    folder: str
    layout: str
    passed_over: Mapping[str, str]
    protocol: str
    date: str
    seed: int
    versions: dict[str, str]
    machine: dict[str, Any]
    methods: dict[str, dict[str, Any]]
    num_items: int
    num_failed: int
    scores: list[Line]
    time: dict[str, float]
