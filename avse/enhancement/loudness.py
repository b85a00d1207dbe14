"""Loudness normalisation by ITU-R BS.1770-4 (integrated, gated), measured by ffmpeg's ebur128."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import numpy as np
import soundfile

from avse.dsp.levels import db_to_gain, gain_to_db
from avse.dsp.resampling import resample
from avse.enhancement.arguments import check_number
from avse.enhancement.spooling import spooled
from avse.errors import UsageError
from avse.io.ffmpeg import DEFAULT_LIMITS, build_command, file_url, stream_output
from avse.io.layouts import placing_filter
from avse.io.recording import AudioStream

CEILING_DB = -1.0
SILENT_LUFS = -69.0
PEAK_STEP = 0.001
OVERSAMPLING = 4


@dataclass(frozen=True)
class Levels:
    """Hold the loudness in LUFS before and after, and whether the true peaks (at most -1 dBFS) limited the gain."""

    before_lufs: float
    after_lufs: float
    gain_db: float
    held_by_peaks: bool

    @property
    def message(self) -> tuple[str, str]:
        """Return code and text of what was done: loudness, loudness_limited or loudness_unknown."""
        if self.before_lufs <= SILENT_LUFS:
            return "loudness_unknown", "Too quiet or too short to measure the loudness; the level was kept."
        held = f" (limited by peaks at {CEILING_DB:g} dBFS)" if self.held_by_peaks else ""
        text = f"Loudness changed from {self.before_lufs:.1f} to {self.after_lufs:.1f} LUFS{held}."
        return "loudness_limited" if self.held_by_peaks else "loudness", text


def check_loudness(target_lufs: float | None) -> None:
    """Raise UsageError for a target loudness outside -70 to 0 LUFS; None asks for no normalisation."""
    if target_lufs is not None:
        check_number(target_lufs, "loudness_lufs")
    if target_lufs is not None and not -70 < target_lufs < 0:
        raise UsageError(
            f"--loudness {target_lufs:g} is out of range.",
            "Use a value between -70 and 0 LUFS, for example --loudness -16, or keep.",
        )


@contextlib.contextmanager
def normalised(
    blocks: Iterator[np.ndarray], audio: AudioStream, target_lufs: float | None, folder: Path | None
) -> Iterator[tuple[Iterator[np.ndarray], Levels | None]]:
    """Yield the blocks (N, C) at the target loudness, with one gain for all, and the levels; unchanged if it is None.

    The audio passes through a temporary file in ``folder``.
    """
    if target_lufs is None:
        yield blocks, None
        return
    with spooled(((block,) for block in blocks), 1, audio.sample_rate, audio.num_channels, folder) as (spool,):
        levels = choose_gain(*measure(spool.path, placing_filter(audio)), target_lufs)
        gain = np.float32(db_to_gain(levels.gain_db))
        yield (gain * block for block in spool.blocks()), levels


def measure(path: Path, placing: str = "") -> tuple[float, float]:
    """Measure the integrated loudness in LUFS and the true peak in dBFS of an audio file that avse wrote.

    ``placing``: a filter that names the places of its channels, which a spool does not know.
    """
    meter = f"{placing}{',' * bool(placing)}ebur128=metadata=1:peak=true:framelog=verbose,ametadata=mode=print:file=-"
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
    return lufs, gain_to_db(max(peak + PEAK_STEP / 2, _peak_at_end(path)))


def _peak_at_end(path: Path) -> float:
    """Return the true peak of the last 0.1 s, which ffmpeg does not report unless it is a whole block."""
    with soundfile.SoundFile(os.fsencode(path)) as file:
        block = file.samplerate // 10
        file.seek(max(0, file.frames - 2 * block))
        end = file.read(dtype="float32", always_2d=True)
        oversampled = np.concatenate(list(resample([end], file.samplerate, OVERSAMPLING * file.samplerate)))
    return float(max(np.abs(part).max(initial=0.0) for part in (end[-block:], oversampled[-OVERSAMPLING * block :])))


def choose_gain(lufs: float, peak_db: float, target_lufs: float) -> Levels:
    """Return the gain to the target, or as much of it as the peaks allow; 0 dB for silence."""
    if not lufs > SILENT_LUFS:
        return Levels(lufs, lufs, 0.0, False)
    gain_db = min(target_lufs - lufs, CEILING_DB - peak_db)
    return Levels(lufs, lufs + gain_db, gain_db, gain_db < target_lufs - lufs)
