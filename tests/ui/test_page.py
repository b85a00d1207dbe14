"""What the page shows of work, in which order."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import soundfile

from avse.progress import silent
from avse.ui.session import Session, Studio
from avse.weights.pretrained import load_model

pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed")


@pytest.fixture
def page(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A page made inside an event loop: outside of one Gradio makes several, and closes none."""
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))

    async def make() -> Any:
        from avse.ui.page import Page

        return Page(Studio(load_model(tiny_model), tmp_path))

    return asyncio.run(make())


@pytest.fixture
def session(page: Any) -> Iterator[Session]:
    session = Session(page.studio)
    yield session
    session.close()


def names(page: Any, update: dict[Any, Any]) -> set[str]:
    return {name for name, part in vars(page).items() if any(part is key for key in update)}


def test_all_that_came_of_work_is_the_last_update(page: Any, session: Session, clip: Path) -> None:
    """A browser can lose an update that another one follows at once."""
    *shown, last = page.open_upload(session, str(clip))
    assert {"people", "faces", "choice", "start", "stop", "progress", "status"} <= names(page, last)
    assert all(names(page, update) == {"progress"} for update in shown)
    *shown, last = page.enhance(session, [1])
    assert names(page, last) == {"player", "result", "download", "start", "stop", "progress", "status"}
    assert all(names(page, update) == {"progress"} for update in shown)
    assert "avse-player" in last[page.player]


def test_failure_is_the_last_update_and_the_work_can_be_repeated(page: Any, session: Session, clip: Path) -> None:
    session.open(clip, silent)
    *_, last = page.enhance(session, [])
    assert "No face is chosen." in last[page.status]
    assert names(page, last) == {"start", "stop", "progress", "status"}
    session.cancel()
    *_, last = page.enhance(session, [1])
    assert "Cancelled; nothing was kept." in last[page.status]


@pytest.mark.parametrize("part", ["export.write_pair", "render.player"])
def test_cancelled_after_the_enhancement_leaves_nothing(
    page: Any, session: Session, clip: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    session.open(clip, silent)

    def cancelled(*arguments: Any) -> None:
        session.cancel()
        arguments[-1]("preparing the player", 0.5, 1.0)

    monkeypatch.setattr(f"avse.ui.{part}", cancelled)
    *_, last = page.enhance(session, [1])
    assert "Cancelled; nothing was kept." in last[page.status]
    assert session.enhanced is None
    assert [*session.folder.iterdir(), *session.served.iterdir()] == []


def test_broken_recording_shows_no_faces(page: Any, session: Session, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    *_, last = page.open_upload(session, str(broken))
    assert "not a recording" in last[page.status]
    assert names(page, last) == {"people", "stop", "progress", "status"}
    assert last[page.people]["visible"] is False


def test_file_is_made_with_its_progress_and_then_linked(page: Any, session: Session, clip: Path) -> None:
    session.open(clip, silent)
    session.enhance(1, silent)
    *shown, last = page.make_file(session, ".wav", 1.0, 0)
    assert shown
    assert all("<progress" in html for html in shown)
    assert "talking head.enhanced.wav" in last
    *_, last = page.make_file(session, ".exe", 1.0, 0)
    assert "cannot be written as" in last


def test_formats_are_described() -> None:
    from avse.ui.page import formats

    with_video, audio = dict(formats(True)), dict(formats(False))
    assert with_video["video .mp4"] == ".mp4"
    assert {"audio .wav", "audio .m4a", "report .html"} <= set(audio)
    assert not [label for label in audio if label.startswith("video")]


def served(session: Session, pattern: str) -> int:
    return len(list(session.served.rglob(pattern)))


def test_files_of_earlier_work_are_removed_while_the_page_is_open(page: Any, session: Session, clip: Path) -> None:
    for _ in range(2):
        *_, last = page.open_upload(session, str(clip))
        assert served(session, "*") == 0
        for _ in range(2):
            *_, last = page.enhance(session, [1])
            assert "avse-player" in last[page.player]
        for _ in range(2):
            *_, last = page.make_file(session, ".wav", 1.0, 0)
            assert "talking head.enhanced.wav" in last
        assert (served(session, "before-after.wav"), served(session, "*.enhanced.wav")) == (1, 1)
        assert len(list(session.folder.glob("recording-*"))) == 1


def test_upload_that_waits_outlasts_the_opening_of_an_earlier_one(session: Session, clip: Path) -> None:
    first, second = session.keep_upload(clip), session.keep_upload(clip)
    session.open(first, silent)
    session.open(second, silent)
    assert [path.parent for path in session.folder.glob("recording-*/*")] == [second.parent]


@pytest.mark.parametrize("part", ["make_download_folder", "export"])
def test_full_disk_is_reported_where_the_file_was_to_be_linked(
    page: Any, session: Session, clip: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    session.open(clip, silent)
    session.enhance(1, silent)

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("avse.ui.export.export" if part == "export" else f"avse.ui.session.Session.{part}", full)
    *_, last = page.make_file(session, ".wav", 1.0, 0)
    assert "No space left on device" in last
    assert "free disk space" in last


def test_full_disk_is_reported_where_the_player_is_prepared(
    page: Any, session: Session, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.open(clip, silent)

    def full(*arguments: Any) -> Iterator[Any]:
        yield from ()
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr("avse.ui.export.pairs", full)
    *_, last = page.enhance(session, [1])
    assert "cannot be written to" in last[page.status]
