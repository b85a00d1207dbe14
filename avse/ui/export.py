"""Files of an enhanced voice: for the players of the page, and to download. Nothing is computed by the network again.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from avse.dsp.windowing import BLOCK_SECONDS
from avse.enhancement.loudness import check_loudness, normalised
from avse.enhancement.validation import check_strength, check_tracks
from avse.errors import UsageError
from avse.io import reader
from avse.io.formats import AUDIO_OUTPUTS, VIDEO_OUTPUTS
from avse.io.writer import reraise_write_errors, write_output
from avse.progress import Report, SampleCounter, silent
from avse.reports.enhancement import enhancement_report
from avse.ui.session import Enhanced

PAGE = ".html"


def choices(has_video: bool) -> list[str]:
    """Return the suffixes that a result can be downloaded as."""
    return [".wav", *sorted((AUDIO_OUTPUTS | (VIDEO_OUTPUTS if has_video else set())) - {".wav"}), PAGE]


def export(
    enhanced: Enhanced, folder: Path, suffix: str, strength: float = 1.0, loudness_lufs: float | None = None,
    report: Report = silent,
) -> Path:  # fmt: skip
    """Write ``NAME.enhanced.SUFFIX`` as ``avse enhance`` writes it with the same options, and return its path.

    Args:
        suffix: one of `choices`; .html is the report.
        strength: as for `avse.enhance`; below 1 the original is mixed in, exact to the rounding of 32-bit floats.
        loudness_lufs: target integrated loudness, or None.
        report: an exception that it raises cancels the work.

    Raises:
        UsageError: an option cannot be used. InputError: the format cannot hold the audio or the video.
    """
    check_strength(strength)
    check_loudness(loudness_lufs)
    recording = enhanced.pipeline.recording
    if suffix not in choices(recording.video is not None):
        raise UsageError(f"{recording.path.name} cannot be written as a '{suffix}' file.", "Choose another format.")
    if suffix == PAGE:
        return _write_report(enhanced, folder, strength, loudness_lufs, report)
    target = folder / f"{recording.path.stem}.enhanced{suffix}"
    check_tracks(recording, target)
    audio = recording.audio_stream
    blocks = _counter(enhanced, report, "writing").count(mixed(enhanced, strength))
    with normalised(blocks, audio, loudness_lufs, folder) as (loud, _):
        write_output(target, recording, enhanced.pipeline.stats.num_samples, loud)
    return target


def mixed(enhanced: Enhanced, strength: float) -> Iterator[np.ndarray]:
    """Yield blocks (N, C) of the voice plus (1 - strength) of the background, the removed audio."""
    for original, voice in pairs(enhanced):
        yield voice if strength == 1 else original + np.float32(strength) * (voice - original)


def pairs(enhanced: Enhanced) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield blocks (N, C) of the recording and of the voice at the same time."""
    recording = enhanced.pipeline.recording
    audio = recording.audio_stream
    with soundfile.SoundFile(os.fsencode(enhanced.voice)) as file:
        for block in reader.read_audio(recording, BLOCK_SECONDS, audio.sample_rate, audio.num_channels):
            voice = file.read(len(block), dtype="float32", always_2d=True)
            yield block[: len(voice)], voice


def _counter(enhanced: Enhanced, report: Report, stage: str) -> SampleCounter:
    """Return a counter that reports how much of the recording was read."""
    num_samples = enhanced.pipeline.stats.num_samples
    return SampleCounter(lambda done: report(stage, done, num_samples))


def write_pair(enhanced: Enhanced, path: Path, report: Report = silent) -> None:
    """Write the mean of the channels before (left) and after (right) as one WAV file of 16 bits.

    By mixing the two channels, a player can play any strength immediately, and both stay in sync.
    """
    both = (np.stack([original.mean(1), voice.mean(1)], axis=1) for original, voice in pairs(enhanced))
    rate = enhanced.pipeline.recording.audio_stream.sample_rate
    with (
        reraise_write_errors(path.parent),
        soundfile.SoundFile(os.fsencode(path), "w", rate, 2, "PCM_16", format="WAV") as file,
    ):
        for block in _counter(enhanced, report, "preparing the player").count(both):
            file.write(np.clip(block, -1.0, 1.0))


def _write_report(
    enhanced: Enhanced, folder: Path, strength: float, loudness_lufs: float | None, report: Report
) -> Path:
    recording, result = enhanced.pipeline.recording, enhanced.result
    after = export(enhanced, folder, ".wav", strength, loudness_lufs, report)
    facts = result.as_dict() | {"input": recording.path.name, "output": after.name}
    page = folder / f"{recording.path.stem}.report{PAGE}"
    return enhancement_report(
        facts, recording.path, after, page, result.thumbnails, result.seen_seconds, audio_track=recording.audio_track
    )
