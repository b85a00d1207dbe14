"""Data for tests of reports: half a second of audio, rows as the commands write them, and a reader of pages."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

HOSTILE = "<img src=x onerror=alert(1)>\"'&.mp4"
METHODS = ("mixed", "avse", "avse-ao")
LOADING = ("src", "href", "poster", "srcset", "data", "action", "formaction", "background", "xlink:href")


def write_audio(path: Path, seconds: float = 0.5, sample_rate: int = 16000) -> Path:
    """A tone that swells, in a little noise."""
    rng = np.random.default_rng(len(path.name))
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    waveform = 0.4 * np.sin(2 * np.pi * 440 * time) * np.sin(np.pi * time / seconds) + 0.01 * rng.standard_normal(
        len(time)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, sample_rate)
    return path


def made_rows(
    folder: Path, num_items: int = 2, subsets: tuple[str, ...] = ("noise", "talkers")
) -> list[dict[str, Any]]:
    """Return rows of ``avse evaluate``, with audio files; the gain of avse grows from item to item."""
    rows = []
    for subset in subsets:
        for index in range(num_items):
            item = f"item-{index:02d}"
            mixture = write_audio(folder / subset / f"{item}.mixture.wav")
            reference = write_audio(folder / subset / f"{item}.reference.wav")
            for number, method in enumerate(METHODS):
                gain = 0.0 if method == "mixed" else index - 1.0 + number
                rows.append({
                    "item": item, "subset": subset, "method": method, "status": "ok", "reason": None, "seconds": 1.0,
                    "elapsed_seconds": 0.25,
                    "scores": {
                        "pesq": 1.5 + gain / 10, "stoi": 0.7 + gain / 50, "estoi": 0.6, "si_sdr": index / 2 + gain,
                    },
                    "mixture": str(mixture), "reference": str(reference), "video": None,
                    "estimate": None if method == "mixed" else str(
                        write_audio(folder / method / subset / f"{item}.wav")
                    ),
                })  # fmt: skip
    return rows


def batch_rows() -> list[dict[str, Any]]:
    """Two recordings done, one skipped, one failed."""
    done = {
        "status": "done", "error": None, "hint": None, "elapsed_seconds": 5.0, "duration_seconds": 20.0,
        "num_faces": 1, "seen_share": 0.9, "scores": None,
    }  # fmt: skip
    failed = {
        "item": "c/broken.mp4", "status": "failed", "error": "no audio", "hint": "Give another.", "output": None,
        "elapsed_seconds": None, "duration_seconds": None, "num_faces": None, "seen_share": None, "scores": None,
    }  # fmt: skip
    return [
        {"item": "a.mp4", "output": "a.wav", **done},
        {"item": "b.mp4", "output": "b c#.wav", **done, "status": "skipped"},
        failed,
        {"item": "d.mp4", "output": "javascript:alert(1)", **done, "duration_seconds": 30.0},
    ]


class Page(HTMLParser):
    """What a browser would see: tags with their attributes, text by tag, cells of the large table."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.cells: list[list[str]] = []
        self._open: list[str] = []
        self._table = False
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.tags.append((tag, values))
        self._open.append(tag)
        self._table = values.get("id") == "table-items" if tag == "table" else self._table
        if tag == "tr" and self._table:
            self.cells.append([])
        if tag == "td" and self._table:
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self._table = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts.setdefault(self._open[-1], []).append(data)
        if self._table and "td" in self._open:
            self.cells[-1][-1] += data

    @property
    def rows(self) -> list[list[str]]:
        """Cells of the body of the large table."""
        return [row for row in self.cells if row]

    @property
    def text(self) -> str:
        """All that is to be read."""
        return " ".join(" ".join(parts) for tag, parts in self.texts.items() if tag not in ("script", "style"))

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of every element of a kind."""
        return [values for name, values in self.tags if name == tag]

    @property
    def addresses(self) -> list[tuple[str, str]]:
        """Every address that the page names, with the tag that names it."""
        return [(tag, values[name]) for tag, values in self.tags for name in LOADING if name in values]
