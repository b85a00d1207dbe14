"""Limits for one recording: length, sizes, memory, and time spent in ffmpeg."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from avse.errors import InputError, UsageError, short_repr

MEGABYTE = 1e6
PATIENCE_FACTOR = 10
"""Time that all runs of ffmpeg on one recording may take together, in units of ``patience_seconds``, ..."""
SLOWEST_RATE = 20.0
"""... plus this many seconds for each second of recording that a run delivers."""
_BYTES_PER_PIXEL = 100.0
"""Memory of a decoder per displayed pixel: 32 frames of 10-bit 4:2:0, as 16 threads and their references hold."""


class TimeBudget:
    """Count the seconds waited for ffmpeg over all its runs on one recording."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.spent = 0.0

    def grant(self, recording_seconds: float) -> None:
        """Allow more time, as so many seconds of recording have come out."""
        self.seconds += SLOWEST_RATE * recording_seconds

    def spend(self, seconds: float) -> None:
        """Add seconds waited."""
        self.spent += seconds

    @property
    def is_exceeded(self) -> bool:
        """Return whether more time was spent than is allowed."""
        return self.spent > self.seconds


@dataclass(frozen=True)
class Limits:
    """Hold the limits for a recording.

    Attributes:
        max_seconds: length, claimed or decoded, in seconds.
        max_megabytes: size of the file in MB (1e6 bytes).
        max_pixels: size of one frame.
        patience_seconds: how long a decoder may deliver nothing; all runs together get `PATIENCE_FACTOR` times as much.
        max_memory_megabytes: memory of one ffmpeg process in MB, beyond what frames of that size need.
        budget: the time spent so far on one recording; `for_recording` starts one.

    Raises:
        UsageError: a limit is not a number above 0.
    """

    max_seconds: float = 24 * 3600.0
    max_megabytes: float = 200_000.0
    max_pixels: int = 2**26
    patience_seconds: float = 60.0
    max_memory_megabytes: float = 1500.0
    budget: TimeBudget | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("max_seconds", "max_megabytes", "max_pixels", "patience_seconds", "max_memory_megabytes"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                flag = f"--{name.replace('_', '-')}" if name in ("max_seconds", "max_megabytes") else name
                raise UsageError(
                    f"{flag} {short_repr(value)} is not a number above 0.", f"Omit it, or use for example: {flag} 3600"
                )

    def for_recording(self) -> Limits:
        """Return the same limits with a time budget of their own."""
        return replace(self, budget=TimeBudget(PATIENCE_FACTOR * self.patience_seconds))

    def grant(self, recording_seconds: float) -> None:
        """Allow more time, as so many seconds of recording have come out."""
        if self.budget is not None:
            self.budget.grant(recording_seconds)

    def for_pixels(self, num_pixels: int) -> Limits:
        """Return the limits with the memory that frames of that size need on top, at most half of the machine's."""
        wanted = self.max_memory_megabytes + num_pixels * _BYTES_PER_PIXEL / MEGABYTE
        most = max(_physical_megabytes() / 2, self.max_memory_megabytes)
        return replace(self, max_memory_megabytes=min(wanted, most))

    def check_seconds(self, path: Path, seconds: float) -> None:
        """Raise InputError for a recording of that length, or one that has gone on for so long."""
        if seconds > self.max_seconds:
            raise InputError(
                f"{path} is longer than {self.max_seconds:g} s.", "Raise --max-seconds, or trim the recording first."
            )

    def check_size(self, path: Path, num_bytes: int) -> None:
        """Raise InputError for a file of that size, or a stream of which so much has come."""
        if num_bytes > self.max_megabytes * MEGABYTE:
            raise InputError(f"{path} is larger than {self.max_megabytes:g} MB.", "Raise --max-megabytes.")


DEFAULT_LIMITS = Limits()


def _physical_megabytes() -> float:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MEGABYTE
    except (ValueError, OSError):
        return math.inf
