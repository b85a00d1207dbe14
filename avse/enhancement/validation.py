"""Check paths, options and streams before any work is done."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import BinaryIO

import numpy as np

from avse.enhancement.arguments import check_number
from avse.errors import InputError, UsageError
from avse.io import atomic, reader, remux
from avse.io.encoding import DEFAULT_SETTINGS, OutputSettings, check_audio_fits, check_encoder
from avse.io.formats import AUDIO_OUTPUTS, VIDEO_OUTPUTS
from avse.io.paths import check_reachable
from avse.io.urls import missing, real_path

MAX_GROWTH = 2.0
"""Allowed ratio of an output to full scale, or to the recording if that is louder: 6 dB. A mask only attenuates,
but the removed audio may have cancelled peaks."""


def check_paths(source: Path | BinaryIO, target: Path | BinaryIO | None, force: bool) -> None:
    """Raise UsageError for a recording that does not exist or an output that cannot be written."""
    if isinstance(source, Path):
        check_recording(source)
    if not isinstance(target, Path):
        return
    if target.suffix.lower() not in AUDIO_OUTPUTS | VIDEO_OUTPUTS:
        if target.is_dir():
            hint = f"Use a file name, such as {target / 'clean.wav'}"
            raise UsageError(f"Cannot write {target}: it is a folder.", hint)
        kind = f"'{target.suffix}' files: {target}" if target.suffix else f"{target}: its name ends in no file type"
        known = ", ".join(sorted(AUDIO_OUTPUTS | VIDEO_OUTPUTS))
        raise UsageError(f"Cannot write {kind}.", f"Use one of: {known}")
    atomic.check_output(target, force, [source] if isinstance(source, Path) else [])


def check_background(
    source: Path | BinaryIO, target: Path | BinaryIO | None, background: Path | None, force: bool
) -> None:
    """Raise UsageError for a file for the background that cannot be written, or that is the output itself."""
    if background is None:
        return
    if background.suffix.lower() not in AUDIO_OUTPUTS:
        known = ", ".join(sorted(AUDIO_OUTPUTS))
        raise UsageError(f"The background cannot be a '{background.suffix}' file.", f"Use one of: {known}")
    if isinstance(target, Path) and real_path(background) == real_path(target):
        raise UsageError(f"{background} cannot be both output and background.", "Use two different files.")
    atomic.check_output(background, force, [source] if isinstance(source, Path) else [])


def check_recording(source: Path) -> None:
    """Raise UsageError for a path that is not a file, InputError for an empty file."""
    check_reachable(source)
    if source.is_dir():
        folder = str(source).rstrip("/") or "/"
        hint = f"Use: avse batch {shlex.quote(folder)} -o enhanced"
        raise UsageError(f"{source} is a folder, not a recording.", hint)
    if not source.exists():
        raise missing(source)
    if not source.is_file():
        raise UsageError(
            f"{source} is not a file.",
            "To read a stream, use - for the recording and redirect the stream to standard input.",
        )
    if source.stat().st_size == 0:
        raise InputError(f"{source} is empty.", "Copy or download it again.")


def check_strength(strength: float) -> None:
    """Raise UsageError for a strength outside 0 to 1."""
    check_number(strength, "strength")
    if not 0 <= strength <= 1:
        raise UsageError(f"A strength of {strength:g} is out of range.", "Use 0 (no change) to 1 (full), such as 0.9.")


def check_tracks(
    recording: reader.Recording, target: Path | BinaryIO | None, settings: OutputSettings = DEFAULT_SETTINGS
) -> None:
    """Raise InputError for audio that does not fit the output, UsageError for a video output without video."""
    audio = recording.audio_stream
    if not isinstance(target, Path):
        return
    suffix = target.suffix.lower()
    if suffix in VIDEO_OUTPUTS and recording.video_problem:
        message = f"The video of {recording.path} cannot be decoded: {recording.video_problem}."
        raise InputError(message, "Write an audio file, such as clean.wav; the video is then not used.")
    if suffix in VIDEO_OUTPUTS and recording.video is None:
        raise UsageError(
            f"{recording.path} has no video to copy into {target}.", "Write an audio file, such as clean.wav."
        )
    settings.check(suffix)
    check_audio_fits(audio, suffix)
    check_encoder(recording, suffix, settings)
    if suffix in VIDEO_OUTPUTS:
        remux.check_video_fits(recording, target.suffix)


def check_background_fits(recording: reader.Recording, background: Path | None, settings: OutputSettings) -> None:
    """Raise InputError for audio that the file for the background cannot hold."""
    if background is not None:
        check_audio_fits(recording.audio_stream, background.suffix)
        check_encoder(recording, background.suffix, settings)


def check_samples(block: np.ndarray, input_peak: float) -> None:
    """Raise InputError for enhanced audio (N, C) that is not finite, or far louder than possible.

    ``input_peak`` is the largest sample of the recording, 1 at full scale.
    """
    hint = "The weights of the model may be damaged. Type: avse models verify MODEL"
    if not np.isfinite(block).all():
        raise InputError("The enhanced audio contains NaN or infinite values and was not written.", hint)
    if np.abs(block).max(initial=0.0) > MAX_GROWTH * max(1.0, input_peak):
        raise InputError("The enhanced audio far exceeds full scale and was not written.", hint)
