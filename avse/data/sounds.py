"""Sounds of data sets at 16 kHz, one channel; and sounds put under pictures, the same bytes every time.

Legend: `N` samples.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soundfile
import soxr

from avse import files, media, sandbox, stream
from avse.config import SAMPLE_RATE
from avse.errors import InputError

SOUND_FILES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a"})
VIDEO_FILES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm", ".mpg"})
_PLAIN_FILES = frozenset({".wav", ".flac", ".ogg"})


def read(path: Path) -> np.ndarray:
    """Sound float32 (N,) at 16 kHz; InputError, also for a file that is not there.

    Plain sound files are read without ffmpeg, which takes longer to start than they take to read.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Look whether the folder is whole.")
    if path.suffix.lower() in _PLAIN_FILES:
        try:
            sound, sample_rate = soundfile.read(os.fsencode(path), dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise InputError(f"{path} cannot be read: {error}", "Check that it plays.") from error
        mono = next(stream.downmixed([sound]))[:, 0]
        return np.asarray(soxr.resample(mono, sample_rate, SAMPLE_RATE), np.float32)
    tape = media.probe(path)
    if tape.sound is None:
        raise InputError(f"{path} has no sound.", "Leave it out.")
    return media.read_sound(tape)[:, 0]


def write(path: Path, sound: np.ndarray) -> None:
    """Write sound (N,) at 16 kHz as 16-bit WAV; "exists" means "whole"."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(path) as partial:
        soundfile.write(os.fsencode(partial), np.clip(sound, -1.0, 1.0), SAMPLE_RATE, subtype="PCM_16")


def put_under(picture: Path, sound: Path, output: Path) -> None:
    """Write ``output`` (.mkv): the picture copied bit by bit until the sound ends, the sound where the film's own was.

    Bit-exact: no date, version or random number, so that the same inputs give the same bytes with the same ffmpeg.
    """
    import ffmpeg

    film = media.probe(picture)
    if film.picture is None:
        raise InputError(f"{picture} has no picture.", "Leave it out.")
    begins = [track.start_seconds for track in (film.sound, film.picture) if track]
    delay = begins[0] - min(begins) if film.sound else 0.0
    half_a_sample = 0.5 / SAMPLE_RATE  # so that rounding to microseconds costs none
    end_seconds = delay + soundfile.info(os.fsencode(sound)).duration + half_a_sample
    shown = sandbox.source(picture, film.limits, itsoffset=f"{-min(begins):.6f}")["V:0"]
    heard = ffmpeg.input(f"file:{sound}", itsoffset=f"{delay:.6f}")["a:0"]
    output.parent.mkdir(parents=True, exist_ok=True)
    with files.whole(output) as partial:
        joined = ffmpeg.output(
            shown, heard, f"file:{partial}", vcodec="copy", acodec="flac", t=f"{end_seconds:.6f}", map_metadata=-1,
            fflags="+bitexact", **{"flags:v": "+bitexact", "flags:a": "+bitexact"},
        )  # fmt: skip
        command = sandbox.command(joined.overwrite_output(), "-loglevel", "error", "-progress", "pipe:1")
        with sandbox.running(command, film.limits, f"{picture} cannot be put over a sound") as told:
            for _ in told:
                pass
