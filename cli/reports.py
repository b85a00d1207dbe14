"""What ``--report`` writes: a page to look at and to listen to (.html), or JSON for programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avse.enhance import Result

PAGES = (".html", ".htm")


def is_page(report: Path | None) -> bool:
    """Whether a report is one to look at."""
    return report is not None and report.suffix.lower() in PAGES


def write_report(
    report: Path, result: Result, summary: dict[str, Any], recording: Path, output: Path, audio_track: int
) -> None:
    """Write ``summary``, what was done, in the form that the name of the report asks for."""
    from avse import files

    if not is_page(report):
        files.write_json(report, summary)
        return
    from avse.evaluation.report import enhancement_report

    enhancement_report(
        summary, recording, output, report, result.thumbnail, result.seen_seconds, audio_track=audio_track
    )
