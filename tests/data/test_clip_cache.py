"""Clips in memory: those read last, and no more bytes than allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_world import write_clip

from avse.data import clip_cache
from avse.data.clip_cache import ClipCache
from avse.data.prepared_clips import load_clip

CLIP_BYTES = 4 * (4 * 640 + 88 * 88) + 4  # 4 frames: float32 audio, uint8 crops, visibility


def test_the_last_clips_are_kept_within_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write_clip(tmp_path, "speaker", f"clip{index}", num_frames=4) for index in range(4)]
    read: list[Path] = []
    monkeypatch.setattr(clip_cache, "load_clip", lambda path: read.append(path) or load_clip(path))
    cache = ClipCache(max_bytes=2 * CLIP_BYTES)
    for index in (0, 1, 0, 2, 0, 1, 3):
        np.testing.assert_array_equal(cache.load(paths[index]).audio, load_clip(paths[index]).audio)
        assert cache.num_bytes == CLIP_BYTES * len(cache) <= 2 * CLIP_BYTES
    assert read == [paths[index] for index in (0, 1, 2, 1, 3)]


def test_a_clip_larger_than_the_limit_is_read_and_not_kept(tmp_path: Path) -> None:
    path = write_clip(tmp_path, "speaker", "clip", num_frames=4)
    cache = ClipCache(max_bytes=CLIP_BYTES - 1)
    assert cache.load(path).audio.shape == (4 * 640,)
    assert (len(cache), cache.num_bytes) == (0, 0)
