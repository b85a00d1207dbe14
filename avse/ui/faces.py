"""The faces of a recording as the page shows them: numbered boxes over a frame, and an image of each."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from avse.active_speaker.selection import select_face
from avse.config import VIDEO_FPS
from avse.enhancement.pipeline import Pipeline
from avse.faces.contact_sheet import most_crowded_frame
from avse.faces.thumbnail import face_thumbnails
from avse.faces.tracking import Track
from avse.io import reader
from avse.progress import Report, silent
from avse.reports.page import data_uri

FRAME_WIDTH = 960


@dataclass(frozen=True)
class FaceCard:
    """Hold what is shown of a face; ``box`` is (left, top, width, height) in percent of the frame, if it is in it."""

    number: int
    place: str
    about: str
    image: str
    box: tuple[float, ...] | None


@dataclass(frozen=True)
class FaceChart:
    """Hold the frame with the most faces as a data URI, a card for each face, and the number of the active one."""

    frame: str
    cards: list[FaceCard]
    active: int


def draw_faces(pipeline: Pipeline, report: Report = silent) -> FaceChart | None:
    """Draw the faces that a pipeline has found; None where there is none.

    An exception that ``report`` raises cancels the work.
    """
    scene = pipeline.selection.scene
    if not scene.tracks:
        return None
    index = most_crowded_frame(scene.tracks)

    def on_frame(number: int, last: int) -> None:
        report("drawing the faces", number / VIDEO_FPS, last / VIDEO_FPS)

    frame = _frame_at(pipeline.recording, index, on_frame)
    thumbnails = face_thumbnails(pipeline.recording, scene.tracks, on_frame)
    cards = [
        FaceCard(
            k + 1, scene.place(k), describe(scene.facts(k, pipeline.stats.num_frames)),
            data_uri("image/png", thumbnail) if thumbnail else "",
            None if frame is None else _box(track, index, frame.shape),
        )
        for k, (track, thumbnail) in enumerate(zip(scene.tracks, thumbnails, strict=True))
    ]  # fmt: skip
    active = select_face(scene, "active")
    return FaceChart("" if frame is None else _encode(frame), cards, 1 if active is None else active + 1)


def describe(facts: dict[str, Any]) -> str:
    """Say in a few words how much of the time a face speaks, and is visible."""
    share = facts.get("speech_share")
    speaks = "" if share is None else f"speaks {share:.0%} of the time, "
    return f"{speaks}visible {facts['seen_share']:.0%}"


def _frame_at(recording: reader.Recording, index: int, on_frame: Callable[[int, int], None]) -> np.ndarray | None:
    """Return a frame in colour; None if the video ends before it."""
    for number, frame in enumerate(reader.read_colour_frames(recording)):
        on_frame(number, index)
        if number == index:
            return frame
    return None


def _box(track: Track, index: int, shape: tuple[int, ...]) -> tuple[float, ...] | None:
    if index not in track.frames:
        return None
    left, top, right, bottom = track.faces[track.frames.index(index)].box
    height, width = shape[:2]
    return tuple(
        round(100 * float(value), 2)
        for value in (left / width, top / height, (right - left) / width, (bottom - top) / height)
    )


def _encode(frame: np.ndarray) -> str:
    image = Image.fromarray(np.ascontiguousarray(frame))
    image.thumbnail((FRAME_WIDTH, FRAME_WIDTH))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return data_uri("image/jpeg", file.getvalue())
