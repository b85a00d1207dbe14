"""Covers in .mkv: pictures attached to the file, where other containers have a video track of one frame."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from avse.io import atomic, metadata
from avse.io.ffmpeg import QUIET, input_arguments, stream_output
from avse.io.recording import Recording
from avse.io.stream_info import StreamInfo


@contextlib.contextmanager
def attach_arguments(media: Recording, covers: Sequence[StreamInfo], first: int) -> Iterator[list[str]]:
    """Yield ffmpeg's arguments that attach covers as output tracks ``first`` and following."""
    if not covers:
        yield []
        return
    with atomic.scratch_folder() as folder:
        arguments = []
        for number, cover in enumerate(covers, first):
            picture = folder / str(number)
            _extract(media, cover, picture)
            arguments += ["-attach", f"file:{picture}"]
            for name, value in _tags(cover).items():
                arguments += [f"-metadata:s:{number}", f"{name}={value}"]
        yield arguments


def _extract(media: Recording, cover: StreamInfo, picture: Path) -> None:
    """Write a cover to a file, as it is stored."""
    track = ("-map", f"0:{cover.index}", "-c", "copy", "-frames:v", "1", "-f", "image2pipe", "pipe:1")
    arguments = [*input_arguments(media.path, media.limits), *track, *QUIET]
    failure = f"A cover of {media.path} cannot be copied"
    with stream_output(arguments, media.limits, failure) as pipe, picture.open("wb") as file:
        while data := pipe.read(1 << 16):
            file.write(data)


def _tags(cover: StreamInfo) -> dict[str, str]:
    """Return the tags of an attached cover: players know it by its name."""
    kind = "jpeg" if cover.codec == "mjpeg" else cover.codec
    name = cover.tags.get("filename") or f"cover.{'jpg' if kind == 'jpeg' else kind}"
    return {**metadata.content_tags(cover.tags), "filename": name, "mimetype": f"image/{kind}"}
