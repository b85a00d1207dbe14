"""Preparation for training: what is stored, what is left out and reported, and what a second run does."""

from __future__ import annotations

import csv
import errno
import os
import resource
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import is_fine_or_two_lines
from small_world import write_clip
from typer.testing import CliRunner

from avse.config import SAMPLES_PER_FRAME
from avse.data import corpus, prepared_clips
from avse.data.corpus import sources
from avse.data.dataset import loader
from avse.data.prepared_clips import Outcome, find_clips, load_clip
from avse.data.synthetic.clips import make_clip
from avse.data.synthetic.speech import speak
from avse.errors import MissingError, UsageError
from avse.faces import detection
from avse.io.folders import LOCK, lock_folder
from avse_cli.main import app

pytestmark = pytest.mark.usefixtures("one_process")


class Loaded(torch.utils.data.Dataset[Any]):
    """Clips as a data set."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return load_clip(self.paths[index]).audio


class World:
    """Make a tree like VoxCeleb2's: two people with two clips each, audio without video, broken, too short, a text."""

    def __init__(self, folder: Path) -> None:
        self.tree, self.cache = folder / "tree", folder / "cache"
        for seed, name in enumerate(("id1/videoA/00001", "id1/videoB/00001", "id2/videoA/00001", "id2/videoA/00002")):
            path = self.tree / "dev" / "mp4" / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            make_clip(path, 1.02, seed)
        self.people = self.tree / "dev" / "mp4"
        (self.people / "id3" / "chapter").mkdir(parents=True)
        self.speech = speak(1.5, seed=9).waveform
        soundfile.write(self.people / "id3" / "chapter" / "line.wav", self.speech, 16000)
        soundfile.write(self.people / "id3" / "chapter" / "click.wav", self.speech[:600], 16000)
        (self.people / "id2" / "videoA" / "broken.mp4").write_bytes(b"no film at all" * 50)
        (self.people / "id2" / "notes.txt").write_text("No recording.")
        self.first = list(prepared_clips.prepare(self.tree, self.cache, 1))

    def bad(self) -> dict[str, str]:
        with (self.cache / "bad.csv").open(newline="") as file:
            return {Path(row["source"]).name: row["problem"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, one_process: None) -> World:
    return World(tmp_path_factory.mktemp("world"))


def kept(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != LOCK)


def test_every_recording_is_kept_or_reported_to_be_bad(world: World) -> None:
    assert kept(world.cache) == [
        "bad.csv", "id1/videoA-00001.npz", "id1/videoB-00001.npz", "id2/videoA-00001.npz", "id2/videoA-00002.npz",
        "id3/chapter-line.npz", "sources.jsonl",
    ]  # fmt: skip
    assert len(world.first) == 7
    assert {outcome.source.name for outcome in world.first if outcome.problem} == {"broken.mp4", "click.wav"}


def test_bad_ones_are_listed_with_their_reason(world: World) -> None:
    assert set(world.bad()) == {"broken.mp4", "click.wav"}
    assert "broken.mp4 is not a recording" in world.bad()["broken.mp4"]
    assert "shorter than a video frame" in world.bad()["click.wav"]


def test_audio_and_lips_have_one_length(world: World) -> None:
    for paths in find_clips(world.cache).values():
        for path in paths:
            clip = load_clip(path)
            assert len(clip.audio) == SAMPLES_PER_FRAME * len(clip.seen)
            assert (clip.lips is None) == (path.parent.name == "id3")
            if clip.lips is not None:
                assert (clip.lips.shape, clip.lips.dtype) == ((len(clip.seen), 88, 88), np.uint8)
                assert len(clip.seen) in (25, 26)
                assert clip.seen.mean() > 0.9
                assert clip.lips[clip.seen].std() > 5


def test_audio_without_video_is_kept_unchanged(world: World) -> None:
    clip = load_clip(world.cache / "id3" / "chapter-line.npz")
    assert not clip.seen.any()
    np.testing.assert_allclose(clip.audio, world.speech[: 37 * 640], atol=1e-4)


def test_clips_load_without_ffmpeg(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*arguments: object, **options: object) -> None:
        raise MissingError("ffmpeg was not found on this machine.", "")

    monkeypatch.setattr("avse.io.ffmpeg.ffmpeg_exe", none_here)
    monkeypatch.setattr(subprocess, "Popen", none_here)
    for path in find_clips(world.cache)["id1"]:
        assert load_clip(path).lips is not None


def test_clips_can_be_kept_with_another_voice(tmp_path: Path) -> None:
    pytest.importorskip("parselmouth")
    (tmp_path / "tree" / "id1").mkdir(parents=True)
    soundfile.write(tmp_path / "tree" / "id1" / "line.wav", speak(1.5, seed=9).waveform, 16000)
    for cache in (tmp_path / "first", tmp_path / "second"):
        assert [outcome.problem for outcome in prepared_clips.prepare(tmp_path / "tree", cache, 1, False, True)] == [""]
    first, second = (load_clip(tmp_path / cache / "id1" / "line.npz") for cache in ("first", "second"))
    assert first.varied is not None
    assert first.varied.shape == first.audio.shape
    np.testing.assert_array_equal(first.varied, second.varied)
    assert not np.allclose(first.varied, first.audio, atol=0.01)


@pytest.mark.usefixtures("worker_processes")
def test_a_second_run_does_what_is_missing_and_keeps_the_rest(world: World) -> None:
    lost, others = world.cache / "id1" / "videoB-00001.npz", world.cache / "id2" / "videoA-00001.npz"
    lost_bytes, others_time = lost.read_bytes(), others.stat().st_mtime_ns
    lost.unlink()
    again = list(prepared_clips.prepare(world.tree, world.cache, 1))
    assert len(again) == 7
    assert {outcome.source.name for outcome in again if outcome.problem} == {"broken.mp4", "click.wav"}
    assert lost.read_bytes() == lost_bytes
    assert others.stat().st_mtime_ns == others_time
    assert set(world.bad()) == {"broken.mp4", "click.wav"}


def test_nothing_is_detected_again_in_what_is_there(world: World) -> None:
    started = prepared_clips.prepare(world.tree, world.cache, 1)
    assert [next(started) for _ in range(5)] == [
        Outcome(source, "") for source, target in sources(world.tree, world.cache) if target.exists()
    ]
    started.close()


def test_only_a_bad_input_is_left_out_a_lacking_program_stops_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(path: Path, detect: object) -> dict[str, np.ndarray]:
        raise MissingError("ffmpeg was not found on this machine.", "")

    monkeypatch.setattr(prepared_clips, "prepare_clip", lacking)
    monkeypatch.setattr(detection, "Detector", lambda num_threads: None)
    with pytest.raises(MissingError):
        prepared_clips._Preparer(False)((tmp_path / "clip.mp4", tmp_path / "clip.npz"), lambda stage, done, total: None)


def test_a_disk_that_takes_nothing_stops_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared_clips, "prepare_clip", lambda path, detect: {"sound": np.zeros(640, np.int16)})
    monkeypatch.setattr(detection, "Detector", lambda num_threads: None)
    monkeypatch.setattr(np, "savez_compressed", refuse)
    with pytest.raises(MissingError, match=f"The folder {tmp_path / 'a'} cannot be written to: No space left"):
        prepared_clips._Preparer(False)(
            (tmp_path / "clip.wav", tmp_path / "a" / "clip.npz"), lambda stage, done, total: None
        )


def refuse(file: Path, **arrays: np.ndarray) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_speakers_in_a_fixed_order(tmp_path: Path) -> None:
    for speaker, name in (("b", "2"), ("a", "9"), ("b", "1")):
        write_clip(tmp_path, speaker, name, num_frames=2)
    found = find_clips(tmp_path)
    assert [(name, [path.stem for path in paths]) for name, paths in found.items()] == [("a", ["9"]), ("b", ["1", "2"])]


def test_trees_without_the_folders_of_voxceleb(tmp_path: Path) -> None:
    for name in ("anna/one.MKV", "anna/deep/er/two.wav", "bert/three.txt", "loose.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    targets = [str(target) for _, target in sources(tmp_path, Path("cache"))]
    assert targets == ["cache/anna/deep-er-two.npz", "cache/anna/one.npz"]


def test_two_recordings_that_would_become_one_clip(tmp_path: Path) -> None:
    for name in ("id1/talk.mp4", "id1/talk.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="would become the same clip"):
        corpus.sources(tmp_path, tmp_path / "cache")


def test_a_name_that_is_no_text_is_listed_byte_for_byte(tmp_path: Path) -> None:
    odd = tmp_path / "tree" / "id1" / os.fsdecode(b"bad\xff.wav")
    odd.parent.mkdir(parents=True)
    odd.write_bytes(b"no audio")
    (outcome,) = prepared_clips.prepare(tmp_path / "tree", tmp_path / "cache", 1)
    assert (outcome.source, bool(outcome.problem)) == (odd, True)
    assert os.fsencode(odd) in (tmp_path / "cache" / "bad.csv").read_bytes()
    assert kept(tmp_path / "cache") == ["bad.csv"]


def test_empty_trees_and_caches(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No recordings"):
        list(prepared_clips.prepare(tmp_path, tmp_path / "cache", 1))
    with pytest.raises(UsageError, match="No prepared clips") as caught:
        find_clips(tmp_path)
    assert "avse prepare" in caught.value.hint


def test_a_second_run_on_one_cache_is_refused(world: World) -> None:
    with lock_folder(world.cache), pytest.raises(UsageError, match="already in use"):
        next(iter(prepared_clips.prepare(world.tree, world.cache, 1)))


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"lips": np.zeros((2, 88, 88), np.uint8)},
        {"sound": np.zeros(1280, np.float64)},
        {"sound": np.zeros((1280, 1), np.int16)},
        {"sound": np.zeros(0, np.int16)},
        {"sound": np.zeros(1280, np.int16), "lips": np.zeros((3, 88, 88), np.uint8)},
        {"sound": np.zeros(1280, np.int16), "lips": np.zeros((2, 64, 88), np.uint8)},
        {"sound": np.array([{}], object)},
    ],
)
def test_damaged_clip_is_named_in_two_lines(stored: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "cache" / "a" / "b.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **stored)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"a/b\.npz is damaged: ") as caught:
        load_clip(path)
    assert len(str(caught.value).splitlines()) == 2
    assert "avse prepare" in caught.value.hint


@pytest.mark.parametrize("num_workers", [0, 1])
def test_damaged_clip_is_named_by_the_loader_too(num_workers: int, tmp_path: Path) -> None:
    """In a loader process as in this one."""
    path = write_clip(tmp_path, "a", "b", num_frames=2)
    damaged = tmp_path / "c.npz"
    damaged.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"c\.npz is damaged: ") as caught:
        list(loader(Loaded([path, damaged]), num_workers))
    assert len(str(caught.value).splitlines()) == 2


def test_disk_that_fills_up_stops_and_a_second_run_goes_on(tmp_path: Path) -> None:
    for name in ("a", "b"):
        path = tmp_path / "tree" / name / "line.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, speak(1.5, seed=9).waveform, 16000)
    arguments = ["prepare", str(tmp_path / "tree"), "-o", str(tmp_path / "cache"), "-j", "1", "-q"]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
    try:
        shown = CliRunner().invoke(app, arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert shown.exit_code == 3
    assert "cannot be written to: File too large" in shown.stderr
    assert kept(tmp_path / "cache") == []
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert kept(tmp_path / "cache") == ["a/line.npz", "b/line.npz", "bad.csv", "sources.jsonl"]


def test_bad_ones_of_other_trees_stay_listed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("one", "two"):
        (tmp_path / name / "id").mkdir(parents=True)
        soundfile.write(tmp_path / name / "id" / f"{name}.wav", np.zeros(300), 16000)
        list(prepared_clips.prepare(tmp_path / name, cache, 1))
    with (cache / "bad.csv").open(newline="") as file:
        assert [Path(row["source"]).name for row in csv.DictReader(file)] == ["one.wav", "two.wav"]
    soundfile.write(tmp_path / "one/id/one.wav", speak(0.5, seed=9).waveform, 16000)
    list(prepared_clips.prepare(tmp_path / "one", cache, 1))
    with (cache / "bad.csv").open(newline="") as file:
        assert [Path(row["source"]).name for row in csv.DictReader(file)] == ["two.wav"]


ARRAYS = st.builds(
    lambda shape, kind: np.zeros(shape, kind),
    st.lists(st.sampled_from([0, 1, 2, 88]), max_size=3) | st.just([1280]),
    st.sampled_from([np.int16, np.uint8, np.float32, np.bool_, "U2", "M8[s]"]),
)


@given(stored=st.dictionaries(st.sampled_from(["sound", "lips", "other"]), ARRAYS, max_size=3))
@settings(max_examples=60)
def test_any_clip_is_whole_or_refused_in_two_lines(stored: dict[str, np.ndarray], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **stored)  # type: ignore[arg-type]
    clips: list[prepared_clips.Clip] = []
    assert is_fine_or_two_lines(lambda: clips.append(load_clip(tmp_path / "a.npz")))
    assert all(len(clip.audio) // SAMPLES_PER_FRAME == len(clip.seen) > 0 for clip in clips)
