"""Decide what is to be done for each item: an output is replaced only if an earlier run has made it, or with force."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from avse.batch import storage
from avse.batch.discovery import Item
from avse.batch.fingerprints import differs, options_fingerprint, source_fingerprint
from avse.batch.rows import Row
from avse.batch.settings import Settings
from avse.errors import UsageError, printable
from avse.io.folders import check_inside
from avse.io.probe import has_video

State = Literal["todo", "redo", "done", "kept", "taken", "linked"]


def settled(items: Sequence[Item], settings: Settings, rows: Mapping[str, Row]) -> list[Item]:
    """Return the items with the output that an earlier run has written: that for audio where there was no video."""
    places = [place for item in items if item.audio_output for place in (item.output, item.audio_output)]
    existing = storage.existing(settings.output, places) if places and not settings.force else set()

    def is_audio(item: Item) -> bool:
        is_there = item.audio_output in existing and item.output not in existing
        return is_there and _lacks_video(item, rows.get(printable(item.name)))

    return [replace(item, output=item.audio_output, audio_output="") if is_audio(item) else item for item in items]


def _lacks_video(item: Item, row: Row | None) -> bool:
    """Return whether a recording has no video: by its row of an earlier run, or by its header where there is no row."""
    if row is not None:
        return bool(row.get("is_audio_output"))
    return not storage.is_url(item.source) and not has_video(Path(item.source))


def states(items: Sequence[Item], settings: Settings, rows: Mapping[str, Row]) -> dict[str, State]:
    """Return what is to be done, by name: nothing if the output exists; it exists only when complete.

    ``rows`` are the latest rows of earlier runs. An output that they list for another recording is "taken"; one that is
    a symbolic link, or is behind one in the output folder, is "linked". Neither is written. Without ``force``, an
    output is replaced only if an earlier run has made it ("redo"); any other that is not what is asked for is "kept".
    """
    linked = {item.name for item in items if link_to(item, settings)}
    if settings.force:
        return {item.name: "linked" if item.name in linked else "todo" for item in items}
    existing = storage.existing(settings.output, [item.output for item in items])
    owners = {row.get("output"): name for name, row in rows.items() if row["status"] != "failed"}
    options = options_fingerprint(settings.about)
    found: dict[str, State] = {}
    for item in items:
        name = printable(item.name)
        if item.name in linked:
            found[item.name] = "linked"
        elif item.output not in existing:
            found[item.name] = "todo"
        elif owners.get(output_name(item, settings), owners.get(printable(item.output), name)) != name:
            found[item.name] = "taken"
        else:
            found[item.name] = _state_of_output(item, rows.get(name), settings, options)
    return found


def _state_of_output(item: Item, row: Row | None, settings: Settings, options: str) -> State:
    """Return the state of an item whose output exists, by its row of an earlier run; ``options`` as fingerprint."""
    if row is not None and row["status"] == "failed":
        return "redo" if row.get("may_replace") and not _is_newer(item.output, row) else "kept"
    if settings.needs_scores and not (row and row.get("scores")):
        return "redo" if row and row["status"] == "done" else "kept"
    has_changed = row is not None and differs(row, options, source_fingerprint(item.source))
    return "kept" if has_changed else "done"


def _is_newer(output: str, row: Row) -> bool:
    """Return whether an output was written after a row, as far as that can be told."""
    finished = row.get("finished")
    if storage.is_url(output) or not finished:
        return True
    with suppress(OSError, ValueError):
        return Path(output).stat().st_mtime > datetime.fromisoformat(finished).timestamp()
    return True


def link_to(item: Item, settings: Settings) -> UsageError | None:
    """Return the error of an item whose output would be written through a symbolic link in the output folder."""
    if storage.is_url(item.output):
        return None
    try:
        check_inside(Path(item.output), Path(settings.output))
    except UsageError as error:
        return error
    return None


def output_name(item: Item, settings: Settings) -> str:
    """Return the output's name in rows: relative to the results folder if it is inside, else absolute."""
    if storage.is_url(item.output):
        return printable(item.output)
    return printable(storage.relative(item.output, str(settings.results)) or os.path.abspath(item.output))
