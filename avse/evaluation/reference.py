"""Compare a recording before and after enhancement with a clean reference of the same speech.

Audio is in unnamed, memory-mapped files, so that two hours need no more memory than two minutes.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avse.config import SAMPLE_RATE, SAMPLES_PER_FRAME
from avse.errors import InputError
from avse.evaluation.metrics import FORMER_KEYS, METRICS, WITH_REFERENCE, score
from avse.io import reader
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
from avse.io.urls import missing


def read_reference(
    reference: Path, recording: Path, audio_track: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> np.ndarray:
    """Read the clean reference (N,) at 16 kHz; InputError if it is not as long as the recording."""
    if not reference.is_file():
        raise missing(reference, "reference", "Check the path, or omit --reference.")
    clean, mixed = _read(reader.probe(reference)), _read(reader.probe(recording, audio_track, limits))
    if abs(len(clean) - len(mixed)) > SAMPLES_PER_FRAME:
        lengths = f"{len(clean) / SAMPLE_RATE:.2f} s and {len(mixed) / SAMPLE_RATE:.2f} s"
        raise InputError(
            f"Reference and recording are {lengths} long.", "Trim the reference so that both start and end together."
        )
    return clean


def compare_files(
    clean: np.ndarray, recording: Path, output: Path, audio_track: int | None = None, limits: Limits = DEFAULT_LIMITS,
    output_track: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Score the recording ("before") and the output ("after"), with reasons where there is no score.

    Ends that differ by less than a video frame (a codec's padding) are cut to the shortest. ``audio_track`` and
    ``output_track`` are those of the recording and of the output, counted from 1; None: the default one.
    """
    before, after = reader.probe(recording, audio_track, limits), reader.probe(output, output_track)
    signals = {"before": _read(before), "after": _read(after)[_priming(before, after) :]}
    length = min(len(clean), *map(len, signals.values()))
    found = {name: score(clean[:length], signal[:length], SAMPLE_RATE) for name, signal in signals.items()}
    scores: dict[str, Any] = {name: _with_former_keys(item.values) for name, item in found.items()}
    if reasons := {name: dict(item.reasons) for name, item in found.items() if item.reasons}:
        scores["reasons"] = reasons
    return scores


def _with_former_keys(values: Mapping[str, float]) -> dict[str, float]:
    """Add each score under the key that earlier versions wrote, for programs that read it."""
    return dict(values) | {former: values[key] for former, key in FORMER_KEYS.items()}


def table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Format scores before and after as lines of text."""
    lines = [f"{'':18}{'before':>9}{'after':>9}{'gain':>9}"]
    for key in WITH_REFERENCE:
        before, after = scores["before"][key], scores["after"][key]
        lines.append(
            f"{METRICS[key].heading:18}" + "".join(f"{_number(value):>9}" for value in (before, after, after - before))
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _read(recording: reader.Recording) -> np.ndarray:
    if recording.audio is None:
        raise InputError(f"{recording.path} has no audio track.", "Use a recording with an audio track.")
    with tempfile.TemporaryFile() as raw:
        for block in reader.read_audio(recording, 10.0, SAMPLE_RATE, 1):
            raw.write(block.tobytes())
            recording.limits.check_seconds(recording.path, raw.tell() / (4 * SAMPLE_RATE))
        return np.memmap(raw, np.float32, "r") if raw.tell() else np.zeros(0, np.float32)


def _priming(recording: reader.Recording, output: reader.Recording) -> int:
    """Count the samples before the output's first one: the 1024 of an AAC encoder, kept where the audio starts late."""
    lags = []
    for file in (recording, output):
        if file.audio is None or file.video is None:
            return 0
        lags.append(file.audio.start_seconds - file.video.start_seconds)
    assert output.audio is not None
    return round(1024 * SAMPLE_RATE / output.audio.sample_rate) if lags[0] - lags[1] > 0.005 else 0
