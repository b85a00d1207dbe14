"""Compare the file of each person with that person's clean reference: face-1.wav, face-2.wav, ... in one folder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avse.errors import UsageError
from avse.evaluation.reference import compare_files, read_reference
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
from avse.io.formats import is_audio

Faces = Sequence[dict[str, Any]]


def read_face_references(
    folder: Path, recording: Path, audio_track: int | None = None, limits: Limits = DEFAULT_LIMITS
) -> dict[int, np.ndarray]:
    """Read the clean references (N,) at 16 kHz by the numbers of the faces.

    Raises:
        UsageError: the folder has none. InputError: one is not as long as the recording.
    """
    paths = {path.stem: path for path in sorted(folder.glob("face-*")) if is_audio(path)}
    found = {int(name[5:]): path for name, path in paths.items() if name[5:].isdecimal()}
    if not found:
        raise UsageError(f"There is no reference file in {folder}.", "Name the files face-1.wav, face-2.wav, ...")
    return {number: read_reference(path, recording, audio_track, limits) for number, path in found.items()}


def score_faces(
    faces: Faces, references: Mapping[int, np.ndarray], recording: Path, folder: Path,
    audio_track: int | None = None, limits: Limits = DEFAULT_LIMITS, output_track: int | None = None,
) -> None:  # fmt: skip
    """Add ``scores`` to each face that has an output in ``folder`` and a reference.

    Args:
        faces: those that `avse.enhancement.all_speakers.enhance_all` returns.
        references: what `read_face_references` returns.
    """
    for face in faces:
        if face["audio"] and face["number"] in references:
            output = folder / face["audio"]
            clean = references[face["number"]]
            face["scores"] = compare_files(clean, recording, output, audio_track, limits, output_track)


def mean_scores(faces: Faces) -> dict[str, Any]:
    """Return the mean scores before and after over the faces that have scores; a reason if there is no such face."""
    scored = [face["scores"] for face in faces if "scores" in face]
    if not scored:
        return {"reason": "None of the speaking faces has a reference."}
    return {time: _mean([scores[time] for scores in scored]) for time in ("before", "after")}


def _mean(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each score, of those that could be computed."""
    found = {key: [one[key] for one in scores if math.isfinite(one.get(key, math.nan))] for key in scores[0]}
    return {key: float(np.mean(values)) if values else math.nan for key, values in found.items()}
