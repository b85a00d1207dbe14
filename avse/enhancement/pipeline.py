"""The main job: a recording in, the voice of the person one looks at out.

    file -> media -> faces -> lips -> features -> net -> overlap -> media -> file

Everything streams: sound, mouths and answer pass in windows of some seconds, whatever the length of the recording.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from avse.active_speaker.selection import Selection, check_speaker, select_target
from avse.dsp.levels import AudioStats, compute_audio_stats
from avse.dsp.windowing import BLOCK_SECONDS
from avse.enhancement.loudness import Levels, check_loudness, normalised
from avse.enhancement.result import Result, audio_warnings, build_result
from avse.enhancement.streaming import enhance_stream
from avse.enhancement.validation import check_paths, check_strength, check_tracks
from avse.errors import InputError
from avse.faces.thumbnail import face_thumbnail
from avse.faces.tracking import Track
from avse.io import reader
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits, local_file
from avse.io.writer import write_output
from avse.progress import Report, silent
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import for_audio_only, load_model


def enhance(
    recording: str | Path | BinaryIO,
    output: str | Path | BinaryIO | None = None,
    *,
    model: str | Path | Checkpoint = "avse",
    device: str = "auto",
    use_video: bool = True,
    speaker: str | int = "active",
    strength: float = 1.0,
    loudness_lufs: float | None = None,
    audio_track: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    force: bool = False,
    with_thumbnail: bool = False,
    tracks: Sequence[Track] | None = None,
    on_progress: Report = silent,
) -> Result:
    """Enhance a recording into ``output``: .wav or .flac, or .mp4, .mkv or .mov with the picture copied untouched.

    The sound keeps its rate, its channels, its length to the sample and its place under the picture. One face is
    followed; where there is no picture, or no face, the sound alone must do, and ``Result.note`` says so (`avse` then
    leaves it to `avse-audio`, which only listens; ``Result.model`` says that).

    Args:
        recording: a file, or an open binary stream, which is stored in a temporary file first.
        output: a file, an open binary stream for WAV, or None for ``Result.waveform``.
        model: name of a shipped net, path of a checkpoint, or one already loaded.
        device: auto, cpu or cuda.
        use_video: False ignores the picture.
        speaker: whose voice: "active", whose mouth goes best with the sound; "largest", "left" or "right"; or the
            number of a face. For a sound of each face see `avse.enhancement.all_speakers.enhance_all`.
        strength: 1 gives the enhanced voice alone; less keeps the surroundings, 20 log10(1 - strength) dB lower.
        loudness_lufs: bring the output to this integrated loudness (BS.1770), as far as true peaks of -1 dBFS allow.
        audio_track: which of several sound tracks, counted from 1.
        limits: what an untrusted recording may ask for.
        force: replace an output that exists.
        with_thumbnail: also cut out a picture of the face that was followed.
        tracks: the face tracks where they are known, from `avse.faces.face_tracker.track_faces`; None detects them.
        on_progress: called with a word for the stage, and seconds of recording done and in all.

    Raises:
        UsageError: the paths make no sense. InputError: the recording cannot be read. MissingError: no such device.
    """
    started = time.perf_counter()
    target = Path(output) if isinstance(output, str | Path) else output
    check_strength(strength)
    check_loudness(loudness_lufs)
    with local_file(recording, limits) as source:
        check_paths(source, target, force)
        checkpoint = model if isinstance(model, Checkpoint) else load_model(str(model), device)
        check_speaker(checkpoint.net, speaker)
        use_video = use_video and checkpoint.net.lips is not None

        opened = reader.probe(source, audio_track, limits)
        check_tracks(opened, target)
        stats = measure_audio(opened, on_progress)
        choice = (
            select_target(opened, stats, checkpoint.net, speaker, on_progress, tracks) if use_video else Selection()
        )
        checkpoint = checkpoint if choice.followed else for_audio_only(checkpoint)
        blocks = enhance_stream(checkpoint.net, opened, stats, choice.followed, on_progress, strength)
        waveform, levels = write_result(opened, stats, blocks, target, loudness_lufs)
        thumbnail = face_thumbnail(opened, choice.track) if with_thumbnail and choice.track else None

    result = build_result(opened, stats, choice, use_video)
    told = [levels.describe()] if levels else []
    return replace(
        result, input=source if isinstance(recording, str | Path) else Path("-"),
        output=target if isinstance(target, Path) else None,
        model=str(checkpoint.about.get("name", "" if isinstance(model, Checkpoint) else model)),
        note=" ".join([result.note, *audio_warnings(opened, stats, target is not None and levels is None), *told]),
        levels=levels, waveform=waveform, thumbnail=thumbnail, elapsed_seconds=time.perf_counter() - started,
    )  # fmt: skip


def write_result(
    recording: reader.Recording,
    stats: AudioStats,
    blocks: Iterator[np.ndarray],
    target: Path | BinaryIO | None,
    loudness_lufs: float | None = None,
) -> tuple[np.ndarray | None, Levels | None]:
    """Put enhanced blocks where they belong, at the loudness asked for: the sound if it stays in memory, and levels."""
    assert recording.audio is not None
    folder = target.parent if isinstance(target, Path) else None
    with normalised(blocks, recording.audio.sample_rate, recording.audio.num_channels, loudness_lufs, folder) as (
        loud,
        levels,
    ):
        return write_output(target, recording, stats.num_samples, loud), levels


def measure_audio(recording: reader.Recording, report: Report) -> AudioStats:
    """Go through the sound once: length and level. InputError if the track is empty."""
    assert recording.audio is not None
    rate, num_channels = recording.audio.sample_rate, recording.audio.num_channels

    def told() -> Iterator[np.ndarray]:
        seconds = 0.0
        for block in reader.read_audio(recording, BLOCK_SECONDS, rate, num_channels):
            yield block
            seconds += len(block) / rate
            recording.limits.check_seconds(recording.path, seconds)
            report("listening", seconds, recording.duration_seconds)

    stats = compute_audio_stats(told(), rate)
    if stats.num_samples == 0:
        raise InputError(f"The sound of {recording.path} is empty.", "Check that it plays.")
    if stats.cancels:
        hint = "Turn one over: ffmpeg -i FILE -af 'pan=stereo|c0=c0|c1=-1*c1' TURNED.wav"
        raise InputError(f"The channels of {recording.path} cancel each other out.", hint)
    return stats
