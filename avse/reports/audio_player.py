"""The audio player of a report: spectrogram, waveform, and the beginning of the audio to play."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from avse.errors import AvseError, InputError
from avse.io import reader
from avse.io.formats import read_by_libsndfile
from avse.progress import SampleCounter
from avse.reports.page import data_uri
from avse.reports.spectrogram import Spectrogram, SpectrogramBuilder, spectrogram_png, waveform_path

BYTES_PER_SECOND = 8_500
"""Approximate size of a second of audio inside a page."""
BLOCK_SECONDS = 10.0
TICKS_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


@dataclass(frozen=True)
class PlayerTrack:
    """Hold one audio track of a report; ``problem``: why there is none. Times in seconds, media as data URIs."""

    label: str
    problem: str = ""
    seconds: float = 0.0
    played_seconds: float = 0.0
    audio: str = ""
    spectrogram: str = ""
    waveform: str = ""
    num_columns: int = 0
    peak_db: float = -math.inf


def make_player_tracks(
    files: Sequence[tuple[str, Path | str]],
    *,
    sample_rate: int,
    played_seconds: float,
    num_columns: int,
    audio_track: int | None = None,
    output_track: int | None = None,
    on_seconds: Callable[[float], None] | None = None,
) -> list[PlayerTrack]:
    """Build tracks of related audio files that share one scale: that of the first file that can be read.

    A file that cannot be read gives a track with its problem. ``audio_track`` is that of the first file,
    ``output_track`` that of all others, counted from 1; None: the default one. ``on_seconds`` is called with the
    seconds of audio read so far, of all files together; an exception that it raises ends the work.
    """
    counter = SampleCounter(lambda done: on_seconds(done / sample_rate) if on_seconds else None)
    read: list[tuple[str, Spectrogram, np.ndarray] | PlayerTrack] = []
    for number, (label, path) in enumerate(files):
        blocks = counter.count(_blocks(Path(path), sample_rate, output_track if number else audio_track))
        try:
            read.append((label, *_read(blocks, sample_rate, played_seconds, num_columns)))
        except (AvseError, OSError, soundfile.SoundFileError) as error:
            message = error.message if isinstance(error, AvseError) else str(error)
            read.append(PlayerTrack(label, message or type(error).__name__))
    outlines = [item[1] for item in read if isinstance(item, tuple)]
    if not outlines:
        return [item for item in read if isinstance(item, PlayerTrack)]
    top_db, peak = outlines[0].top_db, max(outline.peak for outline in outlines)
    return [item if isinstance(item, PlayerTrack) else _track(*item, sample_rate, top_db, peak) for item in read]


def time_ticks(seconds: float, count: int = 6) -> list[tuple[float, str]]:
    """Return round times along a recording: position from 0 to 1, and label."""
    step = next((step for step in TICKS_SECONDS if seconds <= step * count), TICKS_SECONDS[-1])
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    times = [index * step for index in range(math.floor(seconds / step + 1e-9) + 1)] if seconds > 0 else []
    return [(time / seconds, _clock(time, digits)) for time in times if time < 0.97 * seconds]


def encode(waveform: np.ndarray, sample_rate: int) -> str:
    """Encode audio (N,) as a data URI: MP3, or FLAC where this libsndfile has no MP3."""
    kind = "MP3" if "MP3" in soundfile.available_formats() else "FLAC"
    file = io.BytesIO()
    soundfile.write(file, np.clip(waveform, -1, 1), sample_rate, format=kind)
    return data_uri("audio/mpeg" if kind == "MP3" else "audio/flac", file.getvalue())


def _read(
    blocks: Iterator[np.ndarray], sample_rate: int, played_seconds: float, num_columns: int
) -> tuple[Spectrogram, np.ndarray]:
    """Read the audio once: its spectrogram, and the samples (N,) of its beginning."""
    drawing, kept, missing = SpectrogramBuilder(sample_rate, num_columns), [], round(played_seconds * sample_rate)
    for block in blocks:
        drawing.add(block)
        if missing:
            kept.append(block[:missing].copy())  # a view would hold the whole block
            missing -= len(kept[-1])
    if drawing.num_samples == 0:
        raise InputError("The file contains no audio.", "Check that the file plays.")
    return drawing.finish(), np.concatenate(kept)


def _blocks(path: Path, sample_rate: int, audio_track: int | None) -> Iterator[np.ndarray]:
    """Yield the mean of the channels in blocks (N,); WAV and FLAC at the right rate need no ffmpeg."""
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    if read_by_libsndfile(path) and _sample_rate(path) == sample_rate:
        size = round(BLOCK_SECONDS * sample_rate)
        for block in soundfile.blocks(os.fsencode(path), size, dtype="float32", always_2d=True):
            yield block.mean(1)
    else:
        recording = reader.probe(path, audio_track)
        num_channels = recording.audio.num_channels if recording.audio else 1
        for block in reader.read_audio(recording, BLOCK_SECONDS, sample_rate, num_channels):
            yield block.mean(1)


def _sample_rate(path: Path) -> int | None:
    try:
        return int(soundfile.info(os.fsencode(path)).samplerate)
    except soundfile.SoundFileError:
        return None


def _track(
    label: str, outline: Spectrogram, audio: np.ndarray, sample_rate: int, top_db: float, peak: float
) -> PlayerTrack:
    return PlayerTrack(
        label,
        seconds=outline.seconds,
        played_seconds=len(audio) / sample_rate,
        audio=encode(audio, sample_rate),
        spectrogram=data_uri("image/png", spectrogram_png(outline, top_db)),
        waveform=waveform_path(outline, peak),
        num_columns=len(outline.high),
        peak_db=20 * math.log10(outline.peak) if outline.peak else -math.inf,
    )


def _clock(time: float, digits: int) -> str:
    if time < 60:
        return f"{time:.{digits}f}"
    return (
        f"{int(time) // 60}:{time % 60:02.0f}" if time < 3600 else f"{int(time) // 3600}:{int(time) % 3600 // 60:02d} h"
    )
