"""Two folders in one cache: a recording whose clip is there from another one is reported, not taken for done."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from avse.data import prepared_clips
from avse.data.clip_sources import SOURCES
from avse.data.prepared_clips import find_clips, load_clip
from avse.data.synthetic.speech import speak
from avse.errors import UsageError
from avse_cli.main import app

pytestmark = pytest.mark.usefixtures("one_process")


def write_tree(folder: Path, seconds: float, *names: str) -> Path:
    for name in names or ("id1/a.wav",):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, speak(seconds, seed=len(name)).waveform, 16000)
    return folder


def prepare(tree: Path, cache: Path, into_shards: bool = False) -> dict[str, str]:
    """Return the problem of each recording by its name."""
    return {outcome.source.name: outcome.problem for outcome in prepared_clips.prepare(tree, cache, 1, into_shards)}


def bad(cache: Path) -> list[str]:
    with (cache / "bad.csv").open(newline="") as file:
        return [row["source"] for row in csv.DictReader(file)]


@pytest.mark.parametrize("into_shards", [False, True])
def test_a_recording_with_the_name_of_another_is_bad(tmp_path: Path, into_shards: bool) -> None:
    first = write_tree(tmp_path / "first", 0.5, "id1/a.wav", "id1/b.wav")
    second = write_tree(tmp_path / "second", 0.8, "id1/a.wav", "id1/c.wav")
    cache = tmp_path / "cache"
    assert not any(prepare(first, cache, into_shards).values())
    before = [len(load_clip(path).audio) for path in find_clips(cache)["id1"]]
    for _ in range(2):  # reported as long as it is so
        problems = prepare(second, cache, into_shards)
        assert "another recording with that name" in problems["a.wav"]
        assert problems["c.wav"] == ""
        assert bad(cache) == [str(second / "id1" / "a.wav")]
    after = [len(load_clip(path).audio) for path in find_clips(cache)["id1"]]
    assert after[:2] == before
    assert len(after) == 3
    assert not any(prepare(first, cache, into_shards).values())
    assert (cache / "id1.tar").exists() == into_shards


def test_the_command_fails_and_its_dry_run_counts(tmp_path: Path) -> None:
    first, second = (write_tree(tmp_path / str(n), n / 2, "id1/a.wav", "id1/b.wav") for n in (1, 2))
    cache = tmp_path / "cache"
    prepare(first, cache)
    (cache / "id1" / "b.npz").unlink()
    for tree, told in (
        (first, "1 of them already prepared\n"),
        (second, "0 of them already prepared; 1 have the names"),
    ):
        shown = CliRunner().invoke(app, ["prepare", str(tree), "-o", str(cache), "--dry-run"])
        assert shown.exit_code == 0
        assert shown.stdout.startswith(f"2 recordings; {told}")
    shown = CliRunner().invoke(app, ["prepare", str(second), "-o", str(cache), "-j", "1"])
    assert (shown.exit_code, shown.stdout) == (1, f"1 clips in {cache}; 1 left out, see {cache / 'bad.csv'}\n")


def test_the_same_folder_elsewhere_is_the_same(tmp_path: Path) -> None:
    prepare(write_tree(tmp_path / "tree", 0.5), tmp_path / "cache")
    shutil.copytree(tmp_path / "tree", tmp_path / "moved" / "dev" / "mp4")
    assert prepare(tmp_path / "moved", tmp_path / "cache") == {"a.wav": ""}


def test_a_clip_that_was_removed_is_made_from_the_new_recording(tmp_path: Path) -> None:
    first, second = (write_tree(tmp_path / str(n), n / 2) for n in (1, 2))
    cache = tmp_path / "cache"
    for tree, other in ((first, second), (second, first), (first, second)):
        shutil.rmtree(cache / "id1", ignore_errors=True)
        assert not any(prepare(tree, cache).values())
        assert all(prepare(other, cache).values())


def test_clips_of_which_nothing_is_noted_count_as_prepared(tmp_path: Path) -> None:
    """Those of earlier versions, and folders of speakers that were moved here."""
    first, second = (write_tree(tmp_path / str(n), n / 2) for n in (1, 2))
    prepare(first, tmp_path / "cache")
    (tmp_path / "cache" / SOURCES).unlink()
    assert prepare(second, tmp_path / "cache") == {"a.wav": ""}
    assert prepare(first, tmp_path / "cache") == {"a.wav": ""}


def test_what_an_interrupted_run_has_made_is_noted(tmp_path: Path) -> None:
    first, second = (write_tree(tmp_path / str(n), n / 2, "id1/a.wav", "id2/b.wav") for n in (1, 2))
    started = prepared_clips.prepare(first, tmp_path / "cache", 1)
    next(started)
    started.close()
    with (tmp_path / "cache" / SOURCES).open("a") as file:
        file.write('{"clip": "id1')  # torn
    problems = prepare(second, tmp_path / "cache")
    assert bool(problems["a.wav"])
    assert not problems["b.wav"]
    assert bool(prepare(first, tmp_path / "cache")["b.wav"])


@pytest.mark.parametrize("line", ["no JSON", "[]", '{"clip": "id1/a.npz"}', '{"clip": 3, "bytes": 4}'])
def test_a_damaged_list_is_named_in_two_lines(tmp_path: Path, line: str) -> None:
    tree = write_tree(tmp_path / "tree", 0.5)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / SOURCES).write_text(line + "\n")
    with pytest.raises(UsageError, match=r"sources\.jsonl, line 1, cannot be read") as caught:
        prepare(tree, tmp_path / "cache")
    assert len(str(caught.value).splitlines()) == 2


def test_names_that_are_no_text_are_noted(tmp_path: Path) -> None:
    trees = [write_tree(tmp_path / str(n), n / 2) for n in (1, 2)]
    for tree in trees:
        (tree / "id1" / "a.wav").rename(tree / "id1" / os.fsdecode(b"a\xff.wav"))
    assert not any(prepare(trees[0], tmp_path / "cache").values())
    assert all(prepare(trees[1], tmp_path / "cache").values())
