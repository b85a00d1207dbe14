"""Clips in shards are those of the files that they were, one by one; old caches, and both at once, are read."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest
from small_world import write_cache, write_clip
from typer.testing import CliRunner

from avse.data import prepared_clips, shards
from avse.data.mix_config import MixConfig
from avse.data.online_mixing import Mixer
from avse.data.prepared_clips import find_clips, load_clip
from avse.data.synthetic.clips import make_clip
from avse.errors import UsageError
from avse_cli.main import app

pytestmark = pytest.mark.usefixtures("one_process")


def pack_all(cache: Path) -> None:
    for folder in sorted(path for path in cache.iterdir() if path.is_dir()):
        shards.pack(folder)


def test_packed_clips_give_the_same_examples(tmp_path: Path) -> None:
    config = MixConfig(num_frames=10)
    cache = write_cache(tmp_path / "cache")
    before = Mixer(find_clips(cache), {}, {}, config).example(0, 5)
    pack_all(cache)
    assert sorted(path.name for path in cache.iterdir()) == [f"speaker{k}.tar" for k in range(4)]
    after = Mixer(find_clips(cache), {}, {}, config).example(0, 5)
    for name in ("mixture", "target", "lips", "seen"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


@pytest.mark.parametrize("name", ["x" * 90, "x" * 251, "\u00e9" * 125])
def test_shard_is_a_tar_of_the_files_that_were(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path, "a", name, num_frames=3)
    data, audio = path.read_bytes(), load_clip(path).audio
    shards.pack(tmp_path / "a")
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.getnames() == ["index.npy", path.name]
        file = tar.extractfile(path.name)
        assert file is not None
        assert file.read() == data
    np.testing.assert_array_equal(load_clip(find_clips(tmp_path)["a"][0]).audio, audio)


def test_shards_of_earlier_versions_are_read_and_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = load_clip(write_clip(tmp_path, "a", "x", num_frames=3)).audio
    monkeypatch.setattr(tarfile, "GNU_FORMAT", tarfile.USTAR_FORMAT)
    shards.pack(tmp_path / "a")
    monkeypatch.undo()
    np.testing.assert_array_equal(load_clip(find_clips(tmp_path)["a"][0]).audio, audio)
    write_clip(tmp_path, "a", "y" * 120, num_frames=3)
    shards.pack(tmp_path / "a")
    np.testing.assert_array_equal(load_clip(find_clips(tmp_path)["a"][0]).audio, audio)
    assert len(find_clips(tmp_path)["a"]) == 2


def test_clips_of_a_shard_are_read_one_by_one_and_beside_new_files(tmp_path: Path) -> None:
    audio = {name: load_clip(write_clip(tmp_path, "a", name, num_frames=3)).audio for name in "cab"}
    shards.pack(tmp_path / "a")
    audio["d"] = load_clip(write_clip(tmp_path, "a", "d", num_frames=3)).audio
    both = find_clips(tmp_path)["a"]
    for path, name in zip(both, "abcd", strict=True):
        np.testing.assert_array_equal(load_clip(path).audio, audio[name])
    shards.pack(tmp_path / "a")
    packed = find_clips(tmp_path)["a"]
    assert len(packed) == 4
    assert [path.name for path in packed[1:3]] == [packed[1].name, packed[2].name]
    np.testing.assert_array_equal(load_clip(packed[-1]).audio, audio["d"])
    assert shards.names_in(tmp_path / "a.tar") == {f"{name}.npz" for name in "abcd"}
    loose = write_clip(tmp_path, "a", "e" * 120, num_frames=3)
    assert shards.names_of([packed[2], loose, packed[0]]) == ["c.npz", loose.name, "a.npz"]


def test_damaged_shard_is_an_error(tmp_path: Path) -> None:
    write_clip(tmp_path, "a", "x", num_frames=3)
    shards.pack(tmp_path / "a")
    (path,) = find_clips(tmp_path)["a"]
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: len(whole) // 4])
    hint = f"Remove {tmp_path / 'a.tar'}, and run avse prepare --shards again."
    with pytest.raises(UsageError, match=r"a\.tar is damaged") as caught:
        load_clip(path)
    assert caught.value.hint == hint
    for data in (b"", b"no tar at all", bytes(5000)):
        (tmp_path / "a.tar").write_bytes(data)
        with pytest.raises(UsageError, match="not a shard") as caught:
            find_clips(tmp_path)
        assert caught.value.hint == hint


@pytest.mark.parametrize("length", [0, 100, 2000])
def test_damaged_shard_is_reported_by_prepare_until_it_is_removed(length: int, tmp_path: Path) -> None:
    (tmp_path / "tree/a").mkdir(parents=True)
    make_clip(tmp_path / "tree/a/x.mp4", 0.4)
    arguments = ["prepare", str(tmp_path / "tree"), "-o", str(tmp_path / "cache"), "--shards", "-j", "1"]
    shard = tmp_path / "cache/a.tar"
    assert CliRunner().invoke(app, arguments).exit_code == 0
    shard.write_bytes(shard.read_bytes()[:length])
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 2
    assert [line.strip() for line in shown.stderr.splitlines()] == [
        f"avse: {shard} is not a shard of prepared clips.", f"Remove {shard}, and run avse prepare --shards again.",
    ]  # fmt: skip
    shard.unlink()
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert len(find_clips(tmp_path / "cache")["a"]) == 1


def test_packing_removes_its_own_clips_and_partial_files_only(tmp_path: Path) -> None:
    clip = write_clip(tmp_path, "a", "x", num_frames=3)
    recordings = [tmp_path / "a" / "1.mp4", tmp_path / "a" / "video" / "2.mp4"]
    recordings[1].parent.mkdir()
    for path in recordings:
        path.write_bytes(b"mine")
    (tmp_path / "a" / ".y.0123abcd.part.npz").touch()
    shards.pack(tmp_path / "a")
    assert shards.names_in(tmp_path / "a.tar") == {clip.name}
    assert sorted(path for path in (tmp_path / "a").rglob("*") if path.is_file()) == recordings


def test_prepare_packs_speaker_by_speaker_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("id1/a/1", "id1/a/2", "id2/a/1"):
        path = tmp_path / "tree" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        make_clip(path, 0.4)
    arguments = ["prepare", str(tmp_path / "tree"), "-o", str(tmp_path / "cache"), "--shards", "-j", "1"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert {name: len(clips) for name, clips in find_clips(tmp_path / "cache").items()} == {"id1": 2, "id2": 1}
    assert not (tmp_path / "cache/id1").exists()
    stamp = (tmp_path / "cache/id1.tar").stat().st_mtime_ns

    def refuse(*given: object) -> None:
        raise AssertionError("prepared again")

    monkeypatch.setattr(prepared_clips, "prepare_clip", refuse)
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "3 of them already prepared" in CliRunner().invoke(app, [*arguments, "--dry-run"]).stdout
    assert (tmp_path / "cache/id1.tar").stat().st_mtime_ns == stamp
