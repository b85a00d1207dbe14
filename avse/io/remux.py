"""Remux: copy the video stream and replace the audio."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import soundfile

from avse.config import SAMPLE_RATE
from avse.errors import InputError
from avse.io import atomic, reader
from avse.io import ffmpeg as io_ffmpeg
from avse.io.ffmpeg import QUIET, build_command, file_url, open_input, stream_output
from avse.io.reader import Recording


def mux_audio_under_video(picture: Path, sound: Path, output: Path) -> None:
    """Write ``output`` (.mkv): the picture copied bit by bit until the sound ends, the sound where the video's own was.

    Bit-exact: no date, version or random number, so that the same inputs give the same bytes with the same ffmpeg.
    """
    import ffmpeg

    clip = reader.probe(picture)
    if clip.video is None:
        raise InputError(f"{picture} has no picture.", "Leave it out.")
    begins = [track.start_seconds for track in (clip.audio, clip.video) if track]
    delay = begins[0] - min(begins) if clip.audio else 0.0
    half_a_sample = 0.5 / SAMPLE_RATE  # so that rounding to microseconds costs none
    end_seconds = delay + soundfile.info(os.fsencode(sound)).duration + half_a_sample
    shown = io_ffmpeg.open_input(picture, clip.limits, itsoffset=f"{-min(begins):.6f}")["V:0"]
    heard = ffmpeg.input(f"file:{sound}", itsoffset=f"{delay:.6f}")["a:0"]
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic.atomic_path(output) as partial:
        joined = ffmpeg.output(
            shown, heard, f"file:{partial}", vcodec="copy", acodec="flac", t=f"{end_seconds:.6f}", map_metadata=-1,
            fflags="+bitexact", **{"flags:v": "+bitexact", "flags:a": "+bitexact"},
        )  # fmt: skip
        command = io_ffmpeg.build_command(joined.overwrite_output(), "-loglevel", "error", "-progress", "pipe:1")
        with io_ffmpeg.stream_output(command, clip.limits, f"{picture} cannot be put over a sound") as told:
            for _ in told:
                pass


def replace_audio(media: Recording, sound: Path, output: Path) -> None:
    """Write ``output`` with the picture of ``media`` copied bit by bit and ``sound`` in place of its sound.

    Raises InputError where files of that kind cannot hold that picture.
    """
    import ffmpeg

    assert media.audio is not None
    assert media.video is not None
    begin = min(media.audio.start_seconds, media.video.start_seconds)
    picture = open_input(media.path, media.limits, itsoffset=f"{-begin:.6f}")
    speech = ffmpeg.input(file_url(sound), itsoffset=f"{media.audio.start_seconds - begin:.6f}")["a:0"]
    num_channels = media.audio.num_channels
    if layout := _FULL_BAND.get(num_channels):
        in_order = "|".join(map(str, range(num_channels)))
        speech = speech.filter("channelmap", map=in_order, channel_layout=layout)
    aac = {"acodec": "aac", "audio_bitrate": f"{96 * max(num_channels, 2)}k"}
    codec = {"acodec": "flac"} if output.suffix.lower() == ".mkv" else aac
    _copy_video(media, output, picture["V:0"], speech, **codec)


def check_video_fits(media: Recording, suffix: str) -> None:
    """InputError where files of that kind cannot hold that picture: a frame of it is tried."""
    with tempfile.TemporaryDirectory(prefix="avse-") as folder:
        _copy_video(media, Path(folder, f"frame{suffix}"), open_input(media.path, media.limits)["V:0"], vframes=1)


def _copy_video(media: Recording, output: Path, *tracks: Any, **options: object) -> None:
    import ffmpeg

    copied = ffmpeg.output(*tracks, file_url(output), vcodec="copy", progress="pipe:1", **options)
    failure = f"The picture of {media.path} cannot be put into a {output.suffix} file"
    hint = "Use .mkv, which holds any picture, and see that there is space on the disk."
    with stream_output(build_command(copied.overwrite_output(), *QUIET), media.limits, failure, hint) as told:
        for _ in told:
            pass


_FULL_BAND = {3: "3.0", 7: "7.0"}
"""Where ffmpeg would take a layout with a channel for low tones, of which AAC keeps nothing else: one that has none."""
