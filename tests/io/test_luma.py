"""Luma of limited range is stretched to the grey levels that ffmpeg itself makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import ffmpeg

from avse.io.luma import Luma, has_limited_luma


def test_stored_levels_become_those_of_ffmpeg(tmp_path: Path) -> None:
    stored = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    source, target = tmp_path / "stored.yuv", tmp_path / "grey.raw"
    source.write_bytes(stored.tobytes() + bytes([128]) * (stored.size // 2))
    ffmpeg(
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-s",
        "256x16",
        "-i",
        source,
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        target,
    )
    grey = np.frombuffer(target.read_bytes(), np.uint8).reshape(16, 256)
    np.testing.assert_array_equal(Luma(stored, is_limited=True).grey(), grey)
    np.testing.assert_array_equal(Luma(stored, is_limited=True).window(40, 3, 90, 5), grey[3:5, 40:90])
    np.testing.assert_array_equal(Luma(stored).window(40, 3, 90, 5), stored[3:5, 40:90])


@pytest.mark.parametrize(
    ("description", "is_limited"),
    [
        ("h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709, progressive), 1280x720, 426 kb/s, 25 fps", True),
        ("vp9 (Profile 0), yuv420p, 1280x720, SAR 1:1 DAR 16:9, 25 fps", True),
        ("h264 (High 4:2:2), yuv422p(progressive), 64x48", True),
        ("h264 (Main), yuv420p(pc, progressive), 64x48", False),
        ("mjpeg (Baseline), yuvj420p(pc, bt470bg/unknown/unknown, progressive), 1280x720", False),
        ("h264 (High 10), yuv420p10le(tv, bt709, progressive), 1280x720", False),
        ("vp9, yuva420p(tv), 64x48", False),
        ("rawvideo, rgb24, 64x48", False),
        ("gif, gray, 64x48", False),
    ],
)
def test_only_planes_of_eight_bits_and_limited_range_are_read_as_stored(description: str, is_limited: bool) -> None:
    assert has_limited_luma(description) == is_limited
