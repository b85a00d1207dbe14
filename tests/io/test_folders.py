"""Output folders: one process at a time, plain files only, no symbolic links on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from avse.errors import UsageError
from avse.io.folders import check_inside, check_own_file, lock_folder, open_own_file


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
