"""``avse enhance --report page.html``: a page with audio before and after and the face; an error without audio."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_world import Page, write_audio
from typer.testing import CliRunner

from avse.enhancement.pipeline import enhance
from avse.reports.enhancement import enhancement_report
from avse.reports.page import data_uri
from avse_cli.main import app


def run(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["enhance", *map(str, arguments)])


def test_page_shows_before_after_and_the_face(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.HTML"
    done = run(clip, "-o", tmp_path / "out.mp4", "--model", tiny_model, "--report", page)
    assert done.exit_code == 0, done.stderr
    shown = Page(page)
    assert len(shown.all("audio")) == 2
    assert "talking head.mp4, enhanced" in shown.texts["title"]
    assert any(values.get("alt") == "The target face" for values in shown.all("img"))
    assert len(shown.all("rect")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "page.HTML"]


def test_json_as_ever_without_the_thumbnail(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    assert run(clip, "-o", tmp_path / "out.wav", "--model", tiny_model, "--report", facts).exit_code == 0
    values = json.loads(facts.read_text())
    assert values["seen_seconds"] == [[0.0, pytest.approx(1.28)]]
    assert "thumbnail" not in values


def test_no_thumbnail_is_made_unasked(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    result = enhance(clip, tmp_path / "out.wav", model=str(tiny_model))
    assert result.thumbnail is None
    assert "thumbnail" not in result.as_dict()
    shown = enhance(clip, tmp_path / "two.wav", model=str(tiny_model), with_thumbnail=True)
    assert shown.thumbnail is not None
    assert shown.thumbnail.startswith(b"\x89PNG")


def test_without_a_face_there_is_no_thumbnail(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run(clip, "-o", tmp_path / "out.wav", "--model", tiny_model, "--report", page, "--no-video")
    assert done.exit_code == 0, done.stderr
    shown = Page(page)
    assert "The video was ignored" in shown.text
    assert not any(values.get("alt") == "The target face" for values in shown.all("img"))


def test_page_has_a_section_on_who_was_removed(tmp_path: Path) -> None:
    recording = write_audio(tmp_path / "a.wav", 8.0)
    faces = [
        {"number": 1, "position": "left", "speech_share": 0.5, "speech_intervals_seconds": [(0.0, 4.0)]},
        {
            "number": 2,
            "position": "<b>right",
            "speech_share": 0.25,
            "speech_intervals_seconds": [(4.0, 5.0), (7.0, 8.0)],
        },
    ]
    facts = {"duration_seconds": 8.0, "faces": faces, "speaker": 1, "speakers": [1], "removed": [2]}
    thumbnails = {1: b"one", 2: b"two"}
    shown = Page(enhancement_report(facts, recording, recording, tmp_path / "page.html", thumbnails))
    shown_as = {values["alt"]: values["src"] for values in shown.all("img")}
    assert shown_as["The target face"] == data_uri("image/png", b"one")
    assert shown_as["Face 2 (<b>right)"] == data_uri("image/png", b"two")
    assert "Face 2 (<b>right)" in shown.text
    assert "Speaks 25% of the time: 4.0 s to 5.0 s, 7.0 s to 8.0 s." in shown.text
    assert "Face 1" not in shown.text
    assert [values["x"] for values in shown.all("rect")] == ["500.00", "875.00"]
    both = facts | {"removed": [], "speaker": 0, "speakers": [1, 2]}
    kept = Page(enhancement_report(both, recording, recording, tmp_path / "kept.html", thumbnails, []))
    assert "Face 1 (left)" in kept.text
    assert [values["id"] for values in kept.all("section")] == ["sound", "kept", "facts"]


def test_page_of_a_pipe_is_refused(clip: Path, tmp_path: Path) -> None:
    done = run(clip, "-o", "-", "--report", tmp_path / "page.html")
    assert done.exit_code == 2
    assert "does not work with pipes" in done.stderr
    assert list(tmp_path.iterdir()) == []
