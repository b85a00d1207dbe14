"""Which recordings a batch finds, where their outputs belong, and files behind URLs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_values import is_fine_or_two_lines

from avse.batch import storage
from avse.batch.discovery import Item, find, read_list
from avse.errors import InputError, MissingError, UsageError


def encoded(text: str) -> bytes:
    return text.encode("utf-16" if text.startswith("\ufeff") else "utf-8")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few recordings, and what is none, in a folder ``in`` of the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.WAV", "sub/c.webm", "sub/deep/d e.ogg", "notes.txt", ".hidden.mp4", ".git/e.mp4"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def outputs(items: list[Item]) -> dict[str, str]:
    return {item.name: item.output for item in items}


def test_tree_is_mirrored(tree: Path) -> None:
    assert find("in", "out") == [
        Item("a.WAV", "in/a.WAV", "out/a.wav"),
        Item("b.mp4", "in/b.mp4", "out/b.wav"),
        Item("sub/c.webm", "in/sub/c.webm", "out/sub/c.wav"),
        Item("sub/deep/d e.ogg", "in/sub/deep/d e.ogg", "out/sub/deep/d e.wav"),
    ]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"recursive": False}, ["a.WAV", "b.mp4"]),
        ({"pattern": "*.mp4"}, ["b.mp4"]),
        ({"pattern": "sub/*"}, ["sub/c.webm", "sub/deep/d e.ogg"]),
        ({"pattern": "c*"}, ["sub/c.webm"]),
    ],
)
def test_choice(tree: Path, settings: dict[str, str], names: list[str]) -> None:
    assert [item.name for item in find("in", "out", **settings)] == names  # type: ignore[arg-type]


@pytest.mark.parametrize("url", ["", "file://"])
def test_outputs_below_the_input_are_no_input(tree: Path, url: str) -> None:
    (tree / "in" / "clean").mkdir()
    (tree / "in" / "clean" / "b.wav").touch()
    folder = f"{url}{tree / 'in'}"
    assert len(find(folder, f"{folder}/clean")) == 4
    with pytest.raises(UsageError, match="input folder itself"):
        find(folder, folder + "/")


def test_outputs_behind_a_link_below_the_input_are_no_input(tree: Path) -> None:
    (tree / "elsewhere").mkdir()
    (tree / "in" / "clean").symlink_to(tree / "elsewhere")
    (tree / "elsewhere" / "b.wav").touch()
    assert len(find("in", "in/clean")) == len(find("in", "elsewhere")) == 4
    assert len(find("in", "out")) == 5


def test_linked_files_are_inputs_wherever_they_lie(tree: Path) -> None:
    (tree / "chosen").mkdir()
    (tree / "chosen" / "b.mp4").symlink_to(tree / "in" / "b.mp4")
    assert [item.name for item in find("chosen", "in")] == ["b.mp4"]


def test_outputs_may_lie_above_the_input(tree: Path) -> None:
    assert [item.name for item in find("in/sub", "in")] == ["c.webm", "deep/d e.ogg"]


def test_keep_is_each_ones_own_suffix_where_it_can_be_written(tree: Path) -> None:
    assert list(outputs(find("in", "out", suffix="keep")).values()) == [
        "out/a.wav", "out/b.mp4", "out/sub/c.mkv", "out/sub/deep/d e.ogg",
    ]  # fmt: skip
    assert outputs(find("in", "out", suffix=".mp4"))["a.WAV"] == "out/a.mp4"
    with pytest.raises(UsageError, match=r"'\.avi'"):
        find("in", "out", suffix=".avi")


def test_kept_videos_have_another_output_in_case_they_are_audio(tree: Path) -> None:
    found = {item.name: item.audio_output for item in find("in", "out", suffix="keep")}
    assert found == {"a.WAV": "", "b.mp4": "out/b.mp4.wav", "sub/c.webm": "out/sub/c.webm.wav", "sub/deep/d e.ogg": ""}
    assert not any(item.audio_output for item in find("in", "out", suffix=".mp4"))
    (tree / "in" / "b.mp4.aac").touch()
    found = {item.name: item.audio_output for item in find("in", "out", suffix="keep")}
    assert (found["b.mp4"], found["sub/c.webm"]) == ("", "out/sub/c.webm.wav")


def test_same_stem_keeps_the_suffix_in_the_name(tree: Path) -> None:
    (tree / "in" / "b.mkv").touch()
    found = outputs(find("in", "out"))
    assert found["b.mkv"] == "out/b.mkv.wav"
    assert found["b.mp4"] == "out/b.mp4.wav"
    assert found["a.WAV"] == "out/a.wav"
    assert outputs(find("in", "out", suffix="keep"))["b.mp4"] == "out/b.mp4"
    (tree / "in" / "b.mp4.wav").touch()
    with pytest.raises(UsageError, match=r"b\.mp4.* would both be written to b\.mp4\.wav"):
        find("in", "out")


def test_list(tree: Path) -> None:
    (tree / "list.txt").write_text(f"sub/c.webm\n\n{tree}/in/notes.txt\n./sub/../missing.mp4\nsub/c.webm\n")
    found = find("in", "out", listed=Path("list.txt"))
    assert [item.name for item in found] == ["sub/c.webm", "notes.txt", "missing.mp4"]
    assert found[1].output == "out/notes.wav"


@pytest.mark.parametrize("line", ["../elsewhere.mp4", "/elsewhere.mp4", ".", "sub/../..", "s3://bucket/x.mp4"])
def test_list_that_leads_out_of_the_folder(tree: Path, line: str) -> None:
    (tree / "list.txt").write_text(line)
    with pytest.raises(UsageError, match="is not inside in"):
        find("in", "out", listed=Path("list.txt"))


def test_nothing_to_do_is_wrong_usage(tree: Path) -> None:
    (tree / "empty").mkdir()
    (tree / "empty.txt").touch()
    for folder, settings in [("empty", {}), ("in", {"pattern": "*.nix"}), ("in", {"listed": Path("empty.txt")})]:
        with pytest.raises(UsageError, match="No recordings"):
            find(folder, "out", **settings)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no folder nowhere"):
        find("nowhere", "out")
    with pytest.raises(UsageError, match="cannot be read"):
        find("in", "out", listed=Path("nowhere.txt"))


def test_name_that_is_no_utf_8(tree: Path) -> None:
    name = os.fsdecode(b"\xff.mp4")
    (tree / "in" / name).touch()
    assert outputs(find("in", "out"))[name] == f"out/{os.fsdecode(bytes([255]))}.wav"


def test_urls_are_found_as_folders_are(tree: Path) -> None:
    url = f"file://{tree}"
    found = find(f"{url}/in", f"{url}/out")
    assert outputs(found)["sub/c.webm"] == f"{url}/out/sub/c.wav"
    assert [item.name for item in found] == [item.name for item in find("in", "out")]
    assert len(find(f"{url}/in", f"{url}/out", recursive=False)) == 2


def test_what_lies_behind_a_url_is_fetched_and_put(tree: Path) -> None:
    target = f"file://{tree}/out/sub/c.wav"
    with storage.readable(f"file://{tree}/in/sub/c.webm") as source, storage.writable(target) as output:
        assert source.suffix == ".webm"
        output.write_text(source.read_text() + "!")
        assert not (tree / "out").exists()
    assert not source.exists()
    assert not output.exists()
    assert (tree / "out/sub/c.wav").read_text() == "sub/c.webm!"
    assert os.listdir(tree / "out/sub") == ["c.wav"]
    assert storage.existing(f"file://{tree}/out", [target, f"file://{tree}/out/x.wav"]) == {target}
    assert storage.existing(f"file://{tree}/nowhere", [target]) == set()


def test_failure_puts_nothing_behind_a_url(tree: Path) -> None:
    with pytest.raises(RuntimeError), storage.writable(f"file://{tree}/out/c.wav") as output:  # noqa: PT012
        output.write_text("half")
        raise RuntimeError
    assert not (tree / "out").exists()


def test_url_that_cannot_be_reached(tree: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.mp4 cannot be downloaded"), storage.readable("file:///missing.mp4"):
        pass
    with pytest.raises(UsageError, match="bogus"):
        find("bogus://bucket/talks", "out")
    with pytest.raises(MissingError, match="gs://bucket"):
        find("gs://bucket/talks", "out")


def test_sweep_takes_half_written_outputs_alone(tree: Path) -> None:
    (tree / "out").mkdir()
    half = [".a.0123abcd.part.wav", ".a.89abcdef.part.mp4", ".a.0123abcd.part", ".spool.0_z3abcd.part.w64"]
    others = ["a.wav", ".b.0123abcd.part.wav", ".a.0123.part.wav", "a.0123abcd.part.wav"]
    for name in half + others:
        (tree / "out" / name).touch()
    storage.sweep(["out/a.wav", "nowhere/a.wav", "s3://bucket/a.wav"])
    assert sorted(os.listdir(tree / "out")) == sorted(others)


@given(data=st.binary(max_size=100) | st.text(alphabet="a./\\\n\r\0\ufeff: é*", max_size=40).map(encoded))
def test_any_list_is_read_or_refused_in_two_lines(data: bytes, tmp_path: Path) -> None:
    """Names that are read lie in the folder."""
    (tmp_path / "list.txt").write_bytes(data)
    found: list[str] = []
    assert is_fine_or_two_lines(lambda: found.extend(read_list(tmp_path / "list.txt", str(tmp_path))))
    assert all(Path(os.path.normpath(tmp_path / name)).is_relative_to(tmp_path) for name in found)
    assert ".." not in {part for name in found for part in name.split("/")}
