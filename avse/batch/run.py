"""Run a batch: skip finished items, record each result at once, and stop without loss."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import cast

from avse.batch import storage
from avse.batch.discovery import Item
from avse.batch.fingerprints import options_fingerprint, source_fingerprint
from avse.batch.job import Job
from avse.batch.journal import Journal
from avse.batch.rows import Facts, Row, Summary
from avse.batch.settings import OnProgress, Outcome, Settings
from avse.batch.states import State, link_to, output_name, settled, states
from avse.errors import AvseError, MissingError, UsageError, printable
from avse.io import atomic, jsonl
from avse.io.disk import write_failure
from avse.io.folders import check_own_file
from avse.io.urls import real_path
from avse.parallel import tasks
from avse.version import __version__

OnRow = Callable[[Row], None]
SUMMARY, REPORT = "summary.json", "report.html"
KEPT = "The output was there already and was kept; remove it or use --force to redo it."
FACTS = (
    "duration_seconds", "num_faces", "seen_share", "note", "losses", "model", "host", "scores", "is_audio_output",
)  # fmt: skip


def run(
    job: Job, items: Sequence[Item], settings: Settings, on_progress: OnProgress, on_row: OnRow = lambda row: None
) -> Summary:
    """Process all unfinished items, and return the summary: counts of this run by status, times, versions.

    Every item gives one row, also to ``on_row``: item, source, output, status (done, skipped or failed), error, hint,
    attempts, elapsed_seconds, finished, and the result of `enhance`. Rows of work done go to results.jsonl at once.

    Raises:
        UsageError: another process holds the results folder, or it cannot be written to. MissingError: no space is
        left, or no worker can start. The summary is written all the same, with the reason.
    """
    with _locked(settings):
        for name in (SUMMARY, REPORT):
            check_own_file(settings.results / name)
        journal = Journal(settings.results)
        before = journal.last()
        items = settled(items, settings, before)
        state = states(items, settings, before)
        todo = _to_do(items, state, settings)
        made_of = _made_of(todo, settings)
        storage.sweep(_places(todo))
        num_kept = list(state.values()).count("kept")
        summary = _Summary(settings, len(items), num_kept)

        def end(row: Row, is_new: bool) -> None:
            if is_new:
                journal.append(row)
            summary.count(row)
            on_row(row)

        try:
            for row, is_new in _without_work(items, state, settings, before):
                end(row, is_new)
            with closing(settings.engine(job, todo, settings.num_workers, on_progress)) as outcomes:
                for outcome in outcomes:
                    end(_row(outcome, settings) | made_of[outcome.item.name], True)
            summary.stopped = None
        except AvseError as error:
            summary.stopped = error.message
            raise
        finally:
            storage.sweep(_places(todo))
            with suppress(OSError, MissingError):
                jsonl.write_json(settings.results / SUMMARY, summary.as_dict())
        _write_report(journal, items, summary.as_dict(), settings)
    return summary.as_dict()


def _places(items: Sequence[Item]) -> list[str]:
    """Return all places to which items may be written."""
    return [place for item in items for place in (item.output, item.audio_output) if place]


def _to_do(items: Sequence[Item], state: Mapping[str, State], settings: Settings) -> list[Item]:
    """Return the items to process; an output that appears in the meantime is not replaced."""
    return [
        replace(item, may_replace=settings.force or state[item.name] == "redo")
        for item in items
        if state[item.name] in ("todo", "redo")
    ]


def _made_of(items: Sequence[Item], settings: Settings) -> dict[str, Row]:
    """Return the fingerprints of items by name; before the work, in which a recording may be replaced."""
    options = options_fingerprint(settings.about)
    return {
        item.name: cast("Row", {"options_fingerprint": options, "source_fingerprint": source_fingerprint(item.source)})
        for item in items
    }


@contextmanager
def _locked(settings: Settings) -> Iterator[None]:
    """Lock the local folders of a batch. MissingError if they can no longer be written to."""
    output = set() if storage.is_url(settings.output) else {real_path(Path(settings.output))}
    with ExitStack() as locks:
        for folder in sorted(output | {real_path(settings.results)}):
            locks.enter_context(atomic.lock_folder(folder))
        try:
            yield
        except OSError as error:
            if error.filename is None and write_failure(error) is None:
                raise
            message = f"{error.filename or settings.results} cannot be written: {error.strerror}."
            raise MissingError(message, "Free some disk space.") from error


def _row(outcome: Outcome, settings: Settings) -> Row:
    item, error = outcome.item, outcome.error
    values = Facts() if isinstance(outcome.answer, AvseError) else outcome.answer
    if values.get("is_audio_output"):
        item = replace(item, output=item.audio_output)
    row: Row = {
        "item": printable(item.name),
        "source": printable(item.source),
        "output": output_name(item, settings),
        "status": "failed" if error else "done",
        "error": printable(_reason(item, error)) if error else None,
        "hint": printable(error.hint) if error else None,
        "attempts": outcome.num_attempts,
        "may_replace": outcome.num_attempts > 0 and item.may_replace,
        "elapsed_seconds": values.get("elapsed_seconds"),
        "finished": _now(),
    }
    return row | _facts(values)


def _facts(values: Facts) -> Facts:
    """Return those values of a worker that rows keep; None where there is none."""
    return cast("Facts", {name: values.get(name) for name in FACTS})


def _reason(item: Item, error: AvseError) -> str:
    """Return what went wrong, with the name of the recording if the error does not contain it."""
    return f"{item.name}: {error.message}" if isinstance(error, tasks.LostError) else error.message


def _without_work(
    items: Sequence[Item],
    state: Mapping[str, State],
    settings: Settings,
    before: Mapping[str, Row],
) -> Iterator[tuple[Row, bool]]:
    """Yield the rows of items that need no worker, and whether each is new."""
    for item in items:
        if state[item.name] == "taken":
            message = f"{item.output} was made from another recording."
            error = UsageError(message, "Use --force to replace it, or choose another folder.")
            yield _row(Outcome(item, error, 0), settings), True
        elif link := link_to(item, settings) if state[item.name] == "linked" else None:
            yield _row(Outcome(item, link, 0), settings), True
        elif state[item.name] in ("done", "kept"):
            known = before.get(printable(item.name))
            row = _row(Outcome(item, Facts(), 0), settings)
            is_new = known is None or known["status"] == "failed"
            note: Facts = {"note": KEPT} if is_new and state[item.name] == "kept" else {}
            yield _skipped(row, known) | note, is_new


def _skipped(row: Row, known: Row | None) -> Row:
    """Return the row of an item that was done before, with what its earlier row holds."""
    kept = {name: value for name, value in (known or {}).items() if name in (*FACTS, "elapsed_seconds")}
    return row | cast("Facts", kept) | {"status": "skipped"}


class _Summary:
    """Count results while a batch runs."""

    def __init__(self, settings: Settings, num_items: int, num_kept: int) -> None:
        self.stopped: str | None = "interrupted"
        self._settings, self._num_items, self._num_kept = settings, num_items, num_kept
        self._counts: Counter[str] = Counter()
        self._num_incomplete = 0
        self._recording_seconds = 0.0
        self._started, self._clock = _now(), time.perf_counter()

    def count(self, row: Row) -> None:
        self._counts[row["status"]] += 1
        if row["status"] == "done":
            self._num_incomplete += bool(row.get("losses"))
            self._recording_seconds += row["duration_seconds"] or 0.0

    def as_dict(self) -> Summary:
        elapsed = time.perf_counter() - self._clock
        return {
            "avse": __version__,
            **self._settings.about,
            "workers": self._settings.num_workers,
            "started": self._started,
            "ended": _now(),
            "stopped": self.stopped,
            "items": self._num_items,
            "done": self._counts["done"],
            "skipped": self._counts["skipped"],
            "kept": self._num_kept,
            "failed": self._counts["failed"],
            "incomplete": self._num_incomplete,
            "left": self._num_items - self._counts.total(),
            "recording_seconds": self._recording_seconds,
            "elapsed_seconds": elapsed,
            "times_real_time": self._recording_seconds / elapsed,
        }


def _write_report(journal: Journal, items: Sequence[Item], summary: Summary, settings: Settings) -> None:
    """Write the report: the latest row of each item of this batch."""
    from avse.reports.batch import batch_report

    latest = journal.last()
    rows = [latest[name] for name in map(printable, (item.name for item in items)) if name in latest]
    batch_report(rows, summary, settings.results / REPORT)


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
