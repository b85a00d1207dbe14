"""The contact sheet: the most crowded frame with numbered bounding boxes, and a row for each face.

A row has thumbnails, and below them a bar over the recording: when the face is visible, and when it speaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from avse.config import VIDEO_FPS
from avse.faces.thumbnail import WITHIN_SECONDS
from avse.faces.tracking import Face, Track
from avse.io import atomic, reader

NUM_THUMBNAILS = 5
THUMBNAIL = 150
LABEL = 210
MARGIN = 8
WIDTH = LABEL + NUM_THUMBNAILS * (THUMBNAIL + MARGIN) + MARGIN
BAR, AXIS = 14, 24
ROW = THUMBNAIL + BAR + 2 * MARGIN
SIDE_PER_BOX = 1.8
COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")

Moment = tuple[int, Face]


def write_contact_sheet(
    path: Path,
    recording: reader.Recording,
    tracks: Sequence[Track],
    facts: Sequence[dict[str, Any]],
    seconds: float,
    active: int | None = None,
) -> None:
    """Write the contact sheet as PNG in one pass over the video, in colour where the video has colour.

    Args:
        facts: those of `avse.active_speaker.scene.Scene.facts` for each track.
        seconds: length of the recording.
        active: index of the active speaker, who is marked with a star.
    """
    moments = [spread(track) for track in tracks]
    crowded = most_crowded_frame(tracks)
    wanted = {index for row in moments for index, _ in row} | {crowded}
    images = {
        index: _keep(frame, index, crowded, moments)
        for index, frame in zip(range(max(wanted) + 1), reader.read_colour_frames(recording), strict=False)
        if index in wanted
    }
    frame = _draw_frame(images.get(crowded, ({}, None))[1], crowded, tracks)
    height = frame.height + MARGIN + len(tracks) * ROW + AXIS
    sheet = Image.new("RGB", (WIDTH, height), "white")
    sheet.paste(frame, (0, 0))
    for number, (row, values) in enumerate(zip(moments, facts, strict=True)):
        top = frame.height + MARGIN + number * ROW
        shown = [(i, images.get(i, ({}, None))[0].get(number)) for i, _ in row]
        _draw_row(sheet, top, number, values, shown, number == active)
        _draw_times(sheet, top + THUMBNAIL + MARGIN // 2, number, values, seconds)
    _draw_axis(sheet, height - AXIS, seconds)
    with atomic.atomic_path(path) as partial:
        sheet.save(partial, "PNG")


def spread(track: Track) -> list[Moment]:
    """Return a few detections, spread evenly over the time in which a face is visible."""
    places = np.unique(np.linspace(0, len(track.frames) - 1, NUM_THUMBNAILS + 2).round().astype(int)[1:-1])
    return [(track.frames[k], track.faces[k]) for k in places]


def most_crowded_frame(tracks: Sequence[Track]) -> int:
    """Return the frame with the most detected faces; of the first 20 s of these, the one that shows each face best.

    That is the frame with the highest minimum score.
    """
    scores_by_frame: dict[int, list[float]] = {}
    for track in tracks:
        for index, face in zip(track.frames, track.faces, strict=True):
            scores_by_frame.setdefault(index, []).append(face.score)
    most = max(map(len, scores_by_frame.values()))
    crowded = sorted(index for index, scores in scores_by_frame.items() if len(scores) == most)
    early = [index for index in crowded if index <= crowded[0] + WITHIN_SECONDS * VIDEO_FPS]
    return max(early, key=lambda index: min(scores_by_frame[index]))


def _keep(
    frame: np.ndarray, index: int, crowded: int, moments: Sequence[Sequence[Moment]]
) -> tuple[dict[int, Image.Image], Image.Image | None]:
    """Keep what the sheet shows of a frame: thumbnails by face, and the whole, smaller, if it is the crowded one."""
    image = Image.fromarray(np.ascontiguousarray(frame))
    cuts = {
        number: _thumbnail(image, face, number) for number, row in enumerate(moments) for at, face in row if at == index
    }
    return cuts, image.convert("RGB") if index == crowded else None


def _thumbnail(image: Image.Image, face: Face, number: int) -> Image.Image:
    """Cut out the face with its surroundings and its bounding box."""
    centre, side = (face.box[:2] + face.box[2:]) / 2, SIDE_PER_BOX * float((face.box[2:] - face.box[:2]).max())
    corner, scale = centre - side / 2, THUMBNAIL / side
    cut = image.crop((*np.floor(corner).astype(int).tolist(), *np.ceil(corner + side).astype(int).tolist()))
    small = cut.resize((THUMBNAIL, THUMBNAIL)).convert("RGB")
    box = ((face.box - np.tile(corner, 2)) * scale).tolist()
    ImageDraw.Draw(small).rectangle(box, outline=COLOURS[number % len(COLOURS)], width=2)
    return small


def _draw_frame(image: Image.Image | None, index: int, tracks: Sequence[Track]) -> Image.Image:
    """Draw the whole frame, as wide as the sheet, with numbered bounding boxes."""
    if image is None:
        return Image.new("RGB", (WIDTH, 1), "white")
    scale = min(WIDTH / image.width, 1.2 * WIDTH / image.height)
    small = image.resize((round(image.width * scale), round(image.height * scale)))
    draw = ImageDraw.Draw(small)
    for number, track in enumerate(tracks):
        if index in track.frames:
            left, top, right, bottom = (track.faces[track.frames.index(index)].box * scale).tolist()
            colour = COLOURS[number % len(COLOURS)]
            draw.rectangle((left, top, right, bottom), outline=colour, width=3)
            draw.rectangle((left, top - 26, left + 24, top), fill=colour)
            draw.text((left + 12, top - 13), str(number + 1), "white", ImageFont.load_default(20), anchor="mm")
    return small


def _draw_row(
    sheet: Image.Image,
    top: int,
    number: int,
    facts: dict[str, Any],
    images: Sequence[tuple[int, Image.Image | None]],
    is_active: bool,
) -> None:
    draw = ImageDraw.Draw(sheet)
    colour = COLOURS[number % len(COLOURS)]
    draw.text((MARGIN + 8, top), f"{facts['number']}{'*' if is_active else ''}", colour, ImageFont.load_default(56))
    first, last = facts["intervals_seconds"][0][0], facts["intervals_seconds"][-1][1]
    lines = f"{facts['position']}\n{clock(first)} to {clock(last)}\nseen {facts['seen_share']:.0%} of the time"
    if "speech_share" in facts:
        lines += f"\nspeaks {facts['speech_share']:.0%} of the time"
    draw.multiline_text((MARGIN + 8, top + 70), lines, "black", ImageFont.load_default(16))
    for column, (index, image) in enumerate(images):
        left = LABEL + column * (THUMBNAIL + MARGIN)
        if image is not None:
            sheet.paste(image, (left, top))
        draw.rectangle((left, top + THUMBNAIL - 18, left + 62, top + THUMBNAIL), fill="white")
        draw.text((left + 4, top + THUMBNAIL - 17), clock(index / VIDEO_FPS), "black", ImageFont.load_default(14))


def _draw_times(sheet: Image.Image, top: int, number: int, facts: dict[str, Any], seconds: float) -> None:
    """Draw when a face is visible (grey) and when it speaks (its colour) as bars over the recording."""
    draw, scale = ImageDraw.Draw(sheet), (WIDTH - MARGIN - LABEL) / seconds
    bars = (
        (facts["intervals_seconds"], "#d9d9d9"),
        (facts.get("speech_intervals_seconds", []), COLOURS[number % len(COLOURS)]),
    )
    for intervals, colour in bars:
        for begin, end in intervals:
            draw.rectangle((LABEL + begin * scale, top, LABEL + end * scale, top + BAR), fill=colour)
    draw.text((MARGIN + 8, top - 1), "speaks (visible: grey)", "black", ImageFont.load_default(14))


def _draw_axis(sheet: Image.Image, top: int, seconds: float) -> None:
    draw = ImageDraw.Draw(sheet)
    for share, anchor in ((0.0, "la"), (0.25, "ma"), (0.5, "ma"), (0.75, "ma"), (1.0, "ra")):
        place = LABEL + share * (WIDTH - MARGIN - LABEL), top
        draw.text(place, clock(share * seconds), "black", ImageFont.load_default(14), anchor=anchor)


def clock(seconds: float) -> str:
    """Format a time as h:mm:ss, or m:ss.t where there are no hours."""
    minutes, rest = divmod(round(seconds, 1), 60)
    if minutes >= 60:
        return f"{int(minutes // 60)}:{int(minutes % 60):02d}:{int(rest):02d}"
    return f"{int(minutes)}:{rest:04.1f}"
