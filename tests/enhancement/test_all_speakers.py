"""The voices of several faces, written side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.enhancement.all_speakers import check_output_folder, enhance_all
from avse.enhancement.options import Options
from avse.enhancement.pipeline import Pipeline
from avse.io.arrays import as_recording
from avse.weights.checkpoint import load_checkpoint


def blocks(num_blocks: int) -> Iterator[tuple[np.ndarray, ...]]:
    for _ in range(num_blocks):
        yield np.full((320, 1), 0.25, np.float32), np.full((320, 1), -0.25, np.float32)


@pytest.fixture
def pipeline(see_through: Path) -> Pipeline:
    return Pipeline(load_checkpoint(see_through), as_recording(np.ones(640), 16000, None, None), Options())


def test_all_appear_when_all_are_whole_whatever_the_folder_is_called(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    paths = [folder / "face-1.wav", folder / "face-2.wav"]

    def watched(stored_as: str = "FLOAT") -> Iterator[tuple[np.ndarray, ...]]:
        yield from blocks(2)
        assert not any(path.exists() for path in paths)

    monkeypatch.setattr(pipeline, "stream", watched)
    assert pipeline.write(paths) == [(None, None)] * 2
    assert sorted(folder.iterdir()) == paths
    for path, level in zip(paths, (0.25, -0.25), strict=True):
        with path.open("rb") as file:
            np.testing.assert_allclose(soundfile.read(file)[0], np.full(640, level), atol=1e-4)


def test_nothing_is_left_of_a_failure(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(stored_as: str = "FLOAT") -> Iterator[tuple[np.ndarray, ...]]:
        yield from blocks(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "stream", broken)
    with pytest.raises(KeyboardInterrupt):
        pipeline.write([tmp_path / "1.wav", tmp_path / "2.wav"])
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_in_the_folder_is_removed(tmp_path: Path) -> None:
    for name in (".face-2.0a1b2c3d.part.wav", ".talk.0a1b2c3d.part.wav", "notes.txt"):
        (tmp_path / name).touch()
    check_output_folder(tmp_path, force=False)
    assert sorted(os.listdir(tmp_path)) == [".talk.0a1b2c3d.part.wav", "notes.txt"]


def test_a_file_that_appears_meanwhile_or_that_avse_cannot_write_is_not_removed(
    clip: Path, tiny_model: Path, tmp_path: Path
) -> None:
    for name in ("face-7.wav", "face-1.srt", "face-2.docx", "face-12b.wav"):
        (tmp_path / name).touch()

    def appear(stage: str, done: float, total: float) -> None:
        (tmp_path / "face-9.wav").touch()

    enhance_all(clip, tmp_path, model=tiny_model, force=True, on_progress=appear)
    own = ["face-1.srt", "face-12b.wav", "face-2.docx"]
    assert sorted(os.listdir(tmp_path)) == sorted(["face-1.png", "face-1.wav", "face-9.wav", "faces.json", *own])
