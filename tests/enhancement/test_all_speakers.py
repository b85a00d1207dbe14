"""The sounds of several faces, written side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from avse.enhancement.all_speakers import write_all
from avse.io.arrays import as_recording
from avse.reports.audio_player import make_player_tracks

TAPE = as_recording(np.zeros(640), 16000, None, None)


def blocks(num_blocks: int) -> Iterator[tuple[np.ndarray, ...]]:
    for _ in range(num_blocks):
        yield np.full((320, 1), 0.25, np.float32), np.full((320, 1), -0.25, np.float32)


def test_all_appear_when_all_are_whole_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    paths = [folder / "face-1.wav", folder / "face-2.wav"]
    with write_all(paths, TAPE, 2, blocks(2)):
        assert not any(path.exists() for path in paths)
    assert sorted(folder.iterdir()) == paths
    tracks = make_player_tracks([("1", paths[0])], sample_rate=16000, played_seconds=1.0, num_columns=4)
    assert [(track.problem, track.seconds) for track in tracks] == [("", 0.04)]


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[np.ndarray, ...]]:
        yield from blocks(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), write_all([tmp_path / "1.wav", tmp_path / "2.wav"], TAPE, 2, broken()):
        pass
    assert list(tmp_path.iterdir()) == []
