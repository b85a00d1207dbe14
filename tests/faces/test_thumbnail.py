"""The thumbnail of a face: the right frame, the right place, upright."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import write_recording

from avse.faces.thumbnail import SIDE, face_thumbnails
from avse.faces.tracking import Face, Track
from avse.io import reader
from avse.io.arrays import as_recording

BOX = np.array([60.0, 30.0, 100.0, 80.0])
EYES = np.array([[70.0, 50.0], [90.0, 50.0], [80.0, 58.0], [73.0, 70.0], [87.0, 70.0]])


def recording(path: Path) -> reader.Recording:
    """Dark, with a lit left eye in frame 20 alone."""
    frames = np.full((40, 120, 160), 30, np.uint8)
    frames[20, 46:54, 66:74] = 250
    return reader.probe(write_recording(path, np.zeros(25600), frames))


def face_thumbnail(shown: reader.Recording, track: Track) -> bytes | None:
    return face_thumbnails(shown, [track])[0]


def brightest(png: bytes) -> tuple[int, int]:
    thumbnail = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    assert thumbnail.shape == (SIDE, SIDE)
    rows, columns = np.nonzero(thumbnail > 150)
    return round(columns.mean()), round(rows.mean())


def test_the_surest_detection_is_shown(tmp_path: Path) -> None:
    faces = [Face(BOX, EYES, score) for score in (0.6, 0.9, 0.7)]
    png = face_thumbnail(recording(tmp_path / "in.mkv"), Track([15, 20, 25], faces))
    assert png is not None
    x, y = brightest(png)  # 192 pixels for 70, so 10 to the left of the middle and 5 above
    assert abs(x - (96 - 10 * 192 / 70)) < 4
    assert abs(y - (96 - 5 * 192 / 70)) < 4


def test_thumbnail_has_the_colours_of_the_video(tmp_path: Path) -> None:
    colour = np.full((40, 120, 160, 3), (200, 60, 30), np.uint8)
    shown = as_recording(np.zeros(25600, np.float32), 16000, colour, 25)
    (png,) = face_thumbnails(shown, [Track([20], [Face(BOX, EYES, 0.9)])])
    assert png is not None
    assert Image.open(io.BytesIO(png)).getpixel((96, 96)) == (200, 60, 30)


def test_a_face_on_its_side_stands_upright(tmp_path: Path) -> None:
    turned = EYES[:, ::-1] - EYES.mean(0)[::-1] + EYES.mean(0)
    turned[0] = [70.0, 50.0]
    turned[1] = [70.0, 70.0]
    png = face_thumbnail(recording(tmp_path / "in.mkv"), Track([20], [Face(BOX, turned, 0.9)]))
    assert png is not None
    x, y = brightest(png)  # what lay left of the middle lies below it
    assert abs(x - (96 - 5 * 192 / 70)) < 4
    assert abs(y - (96 + 10 * 192 / 70)) < 4


def test_a_face_beyond_the_end_has_no_thumbnail(tmp_path: Path) -> None:
    assert face_thumbnail(recording(tmp_path / "in.mkv"), Track([500], [Face(BOX, EYES, 0.9)])) is None


def test_views_of_several_faces_come_from_one_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = recording(tmp_path / "in.mkv")
    tracks = [Track([index], [Face(BOX, EYES, 0.9)]) for index in (20, 5, 20, 500)]
    alone = [face_thumbnail(shown, track) for track in tracks]
    calls, decode = [], reader.read_colour_frames
    monkeypatch.setattr(reader, "read_colour_frames", lambda *args: calls.append(args) or decode(*args))
    assert face_thumbnails(shown, tracks) == alone
    assert len(calls) == 1
    assert [thumbnail is None for thumbnail in alone] == [False, False, False, True]
