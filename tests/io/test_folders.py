"""Output folders: one process at a time, plain files only, no symbolic links on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from avse.errors import UsageError
from avse.io.folders import check_folder, check_inside, check_own_file, lock_folder, open_own_file
from avse.io.listing import list_recordings
from avse.io.urls import is_loop, real_path
from avse_cli.main import app


def test_a_locked_folder_is_refused_and_its_owner_named(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    with (
        lock_folder(folder),
        pytest.raises(UsageError, match=f"in use: process {os.getpid()} on "),
        lock_folder(folder),
    ):
        pass
    with lock_folder(folder):  # free again
        pass


def test_a_lock_ends_with_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock_folder(tmp_path):
        raise KeyError
    with lock_folder(tmp_path):
        pass


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="cannot be written to"), lock_folder(tmp_path / "out"):
        pass


def test_own_files_are_appended_to(tmp_path: Path) -> None:
    for text in (b"one", b"two"):
        with open_own_file(tmp_path / "log") as file:
            file.write(text)
    assert (tmp_path / "log").read_bytes() == b"onetwo"


def test_only_plain_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("kept")
    (tmp_path / "link").symlink_to("secret")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, problem in {
        "link": "symbolic link", "dangling": "symbolic link", "pipe": "is not a file", "folder": "is not a file",
    }.items():  # fmt: skip
        for action in (check_own_file, open_own_file):
            with pytest.raises(UsageError, match=problem):
                action(tmp_path / name)
    assert (tmp_path / "secret").read_text() == "kept"
    assert not (tmp_path / "nowhere").exists()


def test_links_inside_an_output_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "out").symlink_to("real")
    check_inside(tmp_path / "out" / "sub" / "a.wav", tmp_path / "out")  # the folder itself may be a link
    (tmp_path / "real" / "away").symlink_to("/")
    for name in ("away", "away/etc/a.wav"):
        with pytest.raises(UsageError, match="out/away is a symbolic link"):
            check_inside(tmp_path / "out" / name, tmp_path / "out")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording, a link to itself, two that lead to each other, one to nothing, and a folder with such links."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "speaker").mkdir(parents=True)
    (tmp_path / "in" / "speaker" / "clip.wav").write_bytes(b"RIFF")
    for link, target in {
        "a": "a",
        "b.wav": "c.wav",
        "c.wav": "b.wav",
        "n": "nowhere",
        "in/d": "d",
        "in/e.wav": "e.wav",
    }.items():
        (tmp_path / link).symlink_to(target)
    (tmp_path / "list.txt").write_text("speaker/clip.wav\ne.wav\n")
    (tmp_path / "mix" / "noisy").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    "typed",
    [
        "enhance b.wav -o out.wav", "enhance a -o out.wav", "enhance in/speaker/clip.wav -o b.wav --force",
        "enhance in/speaker/clip.wav -o a/out.wav", "enhance in/speaker/clip.wav -o n/out.wav",
        "enhance in/speaker/clip.wav -o out.wav --background b.wav",
        "enhance in/speaker/clip.wav -o out.wav --reference b.wav", "enhance in/speaker/clip.wav -o a --speaker all",
        "batch a -o out", "batch in -o a", "batch in -o a --dry-run", "batch in -o a/b/c", "batch in -o n",
        "batch in -o out --list b.wav", "prepare a -o out", "prepare in -o a",
        "mix a out", "mix in a", "evaluate a -o out", "evaluate mix -o a", "evaluate mix -o out --videos a",
        "evaluate mix -o out --videos missing", "evaluate mix -o out --videos list.txt", "samples a", "samples n",
        "faces b.wav", "faces in/speaker/clip.wav -o a/sheet.png",
    ],
)  # fmt: skip
def test_link_that_leads_nowhere_is_two_lines(world: Path, typed: str) -> None:
    before = {path.name for path in world.iterdir()}
    shown = CliRunner().invoke(app, typed.split())
    lines = [line for line in shown.stderr.splitlines() if not line.startswith("in: ")]
    assert shown.exit_code == 2, shown.stderr
    assert (len(lines), lines[0][:6]) == (2, "avse: "), shown.stderr
    assert {path.name for path in world.iterdir()} == before


def test_missing_folder_of_videos_is_named(world: Path) -> None:
    shown = CliRunner().invoke(app, ["evaluate", "mix", "-o", "out", "--videos", "missing"])
    assert "There is no folder missing" in shown.stderr


def test_links_to_themselves_are_counted_among_what_is_passed_over(world: Path) -> None:
    found = list_recordings(world / "in")
    assert found.names == ["speaker/clip.wav"]
    assert found.passed_over == dict.fromkeys(("d", "e.wav"), "a link that leads to itself")


def test_folder_that_can_be_made_is_fine(world: Path) -> None:
    check_folder(world / "new" / "deep")
    (world / "link").symlink_to("in")
    check_folder(world / "link" / "new")
    with pytest.raises(UsageError, match="leads to nothing"):
        check_folder(world / "n" / "new")


def test_real_path_of_a_link_to_itself(world: Path) -> None:
    assert is_loop(world / "b.wav")
    assert not is_loop(world / "n")
    assert real_path(world / "b.wav").name in ("b.wav", "c.wav")
