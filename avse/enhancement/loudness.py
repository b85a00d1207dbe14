"""Bring a sound to a given loudness by ITU-R BS.1770-4 (integrated, gated), measured by ffmpeg's ebur128.

The sound passes through a file beside the output, so that its length does not matter.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import numpy as np
import soundfile

from avse.errors import UsageError
from avse.io.ffmpeg import DEFAULT_LIMITS, build_command, file_url, stream_output
from avse.io.writer import reraise_write_errors

CEILING_DB = -1.0
SILENT_LUFS = -69.0
_BLOCK = 1 << 18


@dataclass(frozen=True)
class Levels:
    """Loudness in LUFS before and after, and whether the peaks (true peak at most -1 dBFS) forbade more."""

    before_lufs: float
    after_lufs: float
    gain_db: float
    held_by_peaks: bool

    def describe(self) -> str:
        """One sentence."""
        if self.before_lufs <= SILENT_LUFS:
            return "Too quiet or too short for a loudness: the level was kept."
        held = f" (no more: the peaks are at {CEILING_DB:g} dBFS)" if self.held_by_peaks else ""
        return f"Loudness brought from {self.before_lufs:.1f} to {self.after_lufs:.1f} LUFS{held}."


def check_loudness(target_lufs: float | None) -> None:
    """UsageError for a loudness that no sound can have; None asks for none."""
    if target_lufs is not None and not -70 < target_lufs < 0:
        raise UsageError(f"A loudness of {target_lufs:g} LUFS makes no sense.", "Give one between -70 and 0, or keep.")


@contextlib.contextmanager
def normalised(
    blocks: Iterator[np.ndarray], sample_rate: int, num_channels: int, target_lufs: float | None, folder: Path | None
) -> Iterator[tuple[Iterator[np.ndarray], Levels | None]]:
    """Give blocks (N, C) with one gain for all, and what was measured; as they are where there is no target."""
    if target_lufs is None:
        yield blocks, None
        return
    form = sample_rate, num_channels
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".loudness.", suffix=".part.w64") as spool:
        name = os.fsencode(spool.name)
        with reraise_write_errors(), soundfile.SoundFile(name, "w", *form, "FLOAT", format="W64") as file:
            for block in blocks:
                file.write(block)
        levels = choose_gain(*measure(Path(spool.name)), target_lufs)
        with soundfile.SoundFile(name) as file:
            gain = np.float32(10 ** (levels.gain_db / 20))
            yield (gain * block for block in file.blocks(_BLOCK, dtype="float32", always_2d=True)), levels


def measure(path: Path) -> tuple[float, float]:
    """Integrated loudness in LUFS and true peak in dBFS of a sound file of our own."""
    meter = "ebur128=metadata=1:peak=true:framelog=verbose,ametadata=mode=print:file=-"
    stream = ffmpeg.output(ffmpeg.input(file_url(path)), "pipe:2", af=meter, format="null")
    lufs, peak = -70.0, 0.0
    with stream_output(
        build_command(stream, "-loglevel", "error"), DEFAULT_LIMITS, "The loudness cannot be measured"
    ) as lines:
        for line in lines:
            key, _, value = line.decode().partition("=")
            if key == "lavfi.r128.I":
                lufs = float(value)
            elif key.startswith("lavfi.r128.true_peaks_ch"):
                peak = max(peak, float(value))
    return lufs, 20 * float(np.log10(max(peak, 1e-6)))


def choose_gain(lufs: float, peak_db: float, target_lufs: float) -> Levels:
    """The gain that leads to the target, or as near to it as the peaks allow; none for silence."""
    if not lufs > SILENT_LUFS:
        return Levels(lufs, lufs, 0.0, False)
    gain_db = min(target_lufs - lufs, CEILING_DB - peak_db)
    return Levels(lufs, lufs + gain_db, gain_db, gain_db < target_lufs - lufs)
