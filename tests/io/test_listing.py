"""One rule for which files count, and a word on each that does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from evaluating import write_pairs
from typer.testing import CliRunner

from avse.batch.discovery import read_list, survey
from avse.data import corpus
from avse.data.mixtures.recipes import MixtureConfig
from avse.data.mixtures.request import MixtureRequest
from avse.data.mixtures.request import survey as survey_mixtures
from avse.errors import UsageError
from avse.io.formats import FILE_TYPES
from avse.io.listing import describe_passed_over, list_recordings
from avse_cli.main import app

ODD = {
    "._a.wav": "hidden", ".hidden.mp4": "hidden", "Thumbs.db": "a system file", "notes.txt": "not a recording",
    "noname": "not a recording", "nowhere.wav": "a broken link", "pipe.wav": "not a file",
    "loop": "a link to a folder that was listed already", ".git": "hidden",
}  # fmt: skip


def fill(folder: Path) -> Path:
    """A folder with every kind of recording, and with all that is none."""
    folder.mkdir(parents=True)
    for suffix in FILE_TYPES:
        (folder / f"a{suffix}").touch()
    for name in ("._a.wav", ".hidden.mp4", "Thumbs.db", "notes.txt", "noname"):
        (folder / name).touch()
    (folder / "nowhere.wav").symlink_to("missing.wav")
    os.mkfifo(folder / "pipe.wav")
    (folder / ".git").mkdir()
    (folder / ".git" / "a.wav").touch()
    (folder / "loop").symlink_to(folder)
    return folder


def test_every_kind_of_the_table_counts_and_nothing_is_left_out_in_silence(tmp_path: Path) -> None:
    found = list_recordings(fill(tmp_path / "in"))
    assert found.names == sorted(f"a{suffix}" for suffix in FILE_TYPES)
    assert found.passed_over == ODD
    text = describe_passed_over(found.passed_over)
    assert text.startswith("9 files ignored: ")
    assert "2 not a recording (no suffix, .txt)" in text
    assert describe_passed_over({}) == ""


def test_links_are_followed_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.wav").touch()
    (tmp_path / "in").mkdir()
    for name in ("x", "y"):
        (tmp_path / "in" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "b.wav").symlink_to(tmp_path / "elsewhere" / "a.wav")
    found = list_recordings(tmp_path / "in")
    assert found.names == ["b.wav", "x/a.wav"]
    assert list(found.passed_over) == ["y"]
    assert list_recordings(tmp_path / "in", recursive=False).names == ["b.wav"]


def test_folder_that_cannot_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "a.wav").touch()
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert list_recordings(tmp_path).passed_over == {"shut": "cannot be read"}
    with pytest.raises(UsageError, match="no folder"):
        list_recordings(tmp_path / "missing")


def test_all_commands_keep_the_rule(tmp_path: Path) -> None:
    fill(tmp_path / "in" / "speaker")
    expected = {f"speaker/a{suffix}" for suffix in FILE_TYPES}
    odd = {f"speaker/{name}": reason for name, reason in ODD.items()}
    batch = survey(str(tmp_path / "in"), str(tmp_path / "in" / "out"))
    assert {item.name for item in batch.items} == expected
    assert batch.passed_over == odd
    for name in set(FILE_TYPES) - {".wav"}:  # one clip of each name
        (tmp_path / "in" / "speaker" / f"a{name}").unlink()
    (tmp_path / "in" / "loose.wav").touch()
    speakers = corpus.survey(tmp_path / "in", tmp_path / "cache")
    assert [path.name for path, _ in speakers.pairs] == ["a.wav"]
    assert speakers.passed_over == odd | {"loose.wav": "not in a speaker's folder"}
    order = MixtureRequest(tmp_path / "in", tmp_path / "in" / "mixed", MixtureConfig(), 1)
    assert survey_mixtures(order) == speakers.passed_over


@pytest.mark.parametrize(
    "data",
    [
        b"a.wav\nb/c.wav\n", b"\xef\xbb\xbfa.wav\r\nb/c.wav\r\n", "a.wav\r\nb/c.wav".encode("utf-16"),
        b"\n\na.wav\n \nb/c.wav\na.wav",
    ],
)  # fmt: skip
def test_lists_of_any_editor_are_read(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(data)
    assert read_list(tmp_path / "list.txt", str(tmp_path)) == ["a.wav", "b/c.wav"]


def test_names_that_are_no_text_are_read_from_a_list(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.wav\n\xe2\x80\xa8.wav\n")
    assert read_list(tmp_path / "list.txt", str(tmp_path)) == [os.fsdecode(b"caf\xe9.wav"), "\u2028.wav"]
    (tmp_path / "list.txt").write_bytes(b"a.wav\n\0\n")
    with pytest.raises(UsageError, match=r"list\.txt, line 2,"):
        read_list(tmp_path / "list.txt", str(tmp_path))


def test_batch_reports_in_a_line_what_it_passed_over_and_all_of_it_in_verbose(tmp_path: Path) -> None:
    fill(tmp_path / "in")
    shown = CliRunner().invoke(app, ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-n"])
    [line] = shown.stderr.splitlines()
    assert "9 files ignored: " in line
    shown = CliRunner().invoke(app, ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-n", "--quiet"])
    assert shown.stderr.splitlines() == [line]
    shown = CliRunner().invoke(app, ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "-n", "-v"])
    assert "ignored notes.txt in " in shown.stderr
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "a.odd").touch()
    shown = CliRunner().invoke(app, ["batch", str(tmp_path / "only"), "-o", str(tmp_path / "out")])
    assert (shown.exit_code, "1 not a recording (.odd)" in shown.stderr) == (2, True)


def test_evaluate_passes_over_hidden_files_and_reports_what_has_no_item(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs")
    for kind in ("noisy", "clean"):
        (pairs / kind / "deep").mkdir()
        (pairs / kind / "a.wav").rename(pairs / kind / "deep" / "a.wav")
        (pairs / kind / "._b.wav").write_bytes(b"\0" * 4096)
    (pairs / "clean" / "alone.wav").touch()
    shown = CliRunner().invoke(app, ["evaluate", str(pairs), "-o", str(tmp_path / "out"), "-m", "mixed", "-j", "1"])
    assert shown.exit_code == 0, shown.output
    assert "3 files ignored: 2 hidden, 1 without an item" in shown.stderr
    assert '"deep/a"' in (tmp_path / "out" / "results.jsonl").read_text()
    assert "alone.wav" in (tmp_path / "out" / "summary.json").read_text()
    assert "alone.wav" in (tmp_path / "out" / "report.html").read_text()
