"""Write ``--report``: a page with players (.html), or JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avse.enhancement.result import Result

PAGES = (".html", ".htm")
SUFFIXES = (*PAGES, ".json")


def check_report(report: Path, output: Path) -> None:
    """Raise UsageError for a report that is the output itself, or of an unknown type."""
    from avse.errors import UsageError

    if os.path.realpath(report) == os.path.realpath(output):
        raise UsageError(f"{report} is both output and report.", "Use two different files.")
    if report.suffix.lower() not in SUFFIXES:
        message = f"Cannot write '{report.suffix}' reports: {report}."
        raise UsageError(message, f"Use one of: {', '.join(SUFFIXES)}")


def is_page(report: Path | None) -> bool:
    """Return whether a report is an HTML page."""
    return report is not None and report.suffix.lower() in PAGES


def write_report(
    report: Path, result: Result, summary: dict[str, Any], recording: Path, output: Path, audio_track: int | None,
    output_track: int | None,
) -> None:  # fmt: skip
    """Write ``summary`` in the format that the suffix of the report names."""
    from avse.io import jsonl

    if not is_page(report):
        jsonl.write_json(report, summary)
        return
    from avse.reports.enhancement import enhancement_report

    enhancement_report(
        summary, recording, output, report, result.thumbnails, result.seen_seconds,
        audio_track=audio_track, output_track=output_track,
    )  # fmt: skip
