"""Check and convert the arguments of the Python interface; what cannot be used is a UsageError."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from avse.errors import UsageError, short_repr
from avse.faces.tracking import Track
from avse.io.encoding import OutputSettings
from avse.io.ffmpeg import Limits
from avse.io.paths import as_path


def as_source(value: Any) -> Path | BinaryIO:
    """Return the path or the binary stream of a recording."""
    return _path_or_stream(value, "recording", "read")


def as_output(value: Any, what: str = "output") -> Path | BinaryIO | None:
    """Return the path or the binary stream of an output, or None."""
    return None if value is None else _path_or_stream(value, what, "write")


def _path_or_stream(value: Any, what: str, method: str) -> Any:
    if isinstance(value, io.TextIOBase):
        raise UsageError(f"{what} is a text stream.", f"Open it in binary mode, to {method} bytes.")
    return value if callable(getattr(value, method, None)) and not isinstance(value, Path) else as_path(value, what)


def as_audio_track(value: Any) -> int | None:
    """Return the number of an audio track, or None; whole numbers of any type are taken, also 1.0."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating) or value % 1 != 0:
        raise UsageError(f"audio_track is {short_repr(value)}.", "Pass a whole number, 1 for the first track.")
    return int(value)


def check_number(value: Any, what: str) -> None:
    """Raise UsageError unless a value is a finite number."""
    try:
        is_fine = not isinstance(value, str | bytes | bool) and np.ndim(value) == 0 and math.isfinite(float(value))
    except Exception:  # a foreign object may raise anything
        is_fine = False
    if not is_fine:
        raise UsageError(f"{what} is {short_repr(value)}.", "Pass a number.")


def as_background(value: Any) -> Path | None:
    """Return the path of a file for the background; None for True, False and nothing."""
    is_word = value is None or isinstance(value, bool) or (isinstance(value, str) and not value)
    return None if is_word else as_path(value, "background")


def check_flags(**flags: Any) -> None:
    """Raise UsageError for a switch that is neither true nor false, such as a text or an array."""
    for name, value in flags.items():
        if not isinstance(value, bool | int | np.bool_ | None):
            raise UsageError(f"{name} is {short_repr(value)}.", "Pass True or False.")


def check_face_tracks(tracks: Any) -> None:
    """Raise UsageError unless face tracks are None or a list of `Track`."""
    is_list = isinstance(tracks, list | tuple) and all(isinstance(track, Track) for track in tracks)
    if tracks is not None and not is_list:
        message = f"tracks is {short_repr(tracks)}."
        raise UsageError(message, "Pass what avse.faces.face_tracker.track_faces returns, or None.")


def check_helpers(limits: Any, on_progress: Any, settings: Any) -> None:
    """Raise UsageError unless limits are `Limits`, settings `OutputSettings`, and the progress is a function."""
    if not isinstance(settings, OutputSettings):
        raise UsageError(f"settings is {short_repr(settings)}.", "Pass avse.io.encoding.OutputSettings(...).")
    if not isinstance(limits, Limits):
        raise UsageError(f"limits is {short_repr(limits)}.", "Pass avse.io.ffmpeg.Limits(max_seconds=...).")
    if not callable(on_progress):
        raise UsageError(
            f"on_progress is {short_repr(on_progress)}.", "Pass a function of the stage, the amount done and the total."
        )
