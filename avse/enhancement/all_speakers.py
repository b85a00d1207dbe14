"""Enhance the voice of every face in a recording, in one pass, and describe the faces in ``faces.json``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from avse.enhancement.pipeline import Options, Pipeline, open_recording
from avse.enhancement.result import audio_warnings
from avse.enhancement.validation import check_recording
from avse.errors import InputError, UsageError
from avse.faces.thumbnail import face_thumbnail
from avse.faces.tracking import Track
from avse.io import atomic, jsonl, reader
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
from avse.progress import Report, silent
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import load_model

FACES_JSON = "faces.json"


def enhance_all(
    recording: str | Path,
    folder: str | Path,
    *,
    model: str | Path | Checkpoint = "avse",
    device: str = "auto",
    strength: float = 1.0,
    audio_track: int = 1,
    limits: Limits = DEFAULT_LIMITS,
    force: bool = False,
    on_progress: Report = silent,
) -> dict[str, Any]:
    """Write ``face-1.wav``, ``face-1.png`` and so on, one for every face, and ``faces.json``, into ``folder``.

    The audio keeps rate, channels and length of the recording. Returns what ``faces.json`` holds: for every face its
    number, position, when it is visible, and its files.

    Raises:
        UsageError: an option or path cannot be used. InputError: the recording cannot be read, or shows no face.
    """
    source, folder = Path(recording), Path(folder)
    options = Options(speaker="all", strength=strength, measure_all=True)
    options.check()
    check_recording(source)
    check_output_folder(folder, force)
    checkpoint = model if isinstance(model, Checkpoint) else load_model(str(model), device)
    pipeline = Pipeline(checkpoint, open_video(source, audio_track, limits), options, on_progress)
    scene, num_frames = pipeline.selection.scene, pipeline.stats.num_frames
    if not scene.tracks:
        raise InputError(f"There is no face in {source}.", "Leave out --speaker to use the audio alone.")
    names = [f"face-{k + 1}" for k in range(len(scene.tracks))]
    folder.mkdir(exist_ok=True)
    with atomic.never_replacing([folder / f"{name}.wav" for name in names], force):
        pipeline.write_all([folder / f"{name}.wav" for name in names])
    facts = [
        scene.facts(k, num_frames)
        | {
            "sound": f"{name}.wav",
            "thumbnail": _save_thumbnail(folder / f"{name}.png", pipeline.recording, scene.tracks[k]),
        }
        for k, name in enumerate(names)
    ]
    notes = [text for _, text in audio_warnings(pipeline.recording, pipeline.stats, is_clipped=True)]
    summary = {"recording": str(source), "notes": notes, "faces": facts}
    jsonl.write_json(folder / FACES_JSON, summary)
    for path in _face_files(folder):
        if path.stem not in names:
            path.unlink()
    return summary


def analyse_recording(
    path: Path, checkpoint: Checkpoint, on_progress: Report = silent, *,
    audio_track: int = 1, limits: Limits = DEFAULT_LIMITS,
) -> Pipeline:  # fmt: skip
    """Find the faces of a recording and measure their activity, also that of a single one.

    Returns the pipeline before it enhances anything: its ``selection.scene`` holds the faces.

    Raises:
        UsageError: there is no such file. InputError: it cannot be read, has no audio or no video.
    """
    check_recording(path)
    options = Options(speaker="all", measure_all=True)
    return Pipeline(checkpoint, open_video(path, audio_track, limits), options, on_progress)


def open_video(path: Path, audio_track: int, limits: Limits) -> reader.Recording:
    """Open a recording that has audio and video. InputError if it has not."""
    recording = open_recording(path, audio_track, limits)
    if recording.video is None:
        raise InputError(f"{path} has no picture.", "Give a video.")
    return recording


def check_output_folder(folder: Path, force: bool) -> None:
    """Raise UsageError for a folder that cannot be written to, or that holds files of faces already."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", "Name a folder, in which every face gets a file.")
    if folder.is_dir():
        for path in [folder / FACES_JSON, *_face_files(folder)]:
            atomic.check_output(path, force)
    else:
        atomic.check_output(folder, force)


def _face_files(folder: Path) -> list[Path]:
    """Return audio files and thumbnails of faces, of this recording or of an earlier one."""
    return [path for path in sorted(folder.glob("face-*")) if re.fullmatch(r"face-[0-9]+\.(wav|png)", path.name)]


def _save_thumbnail(path: Path, recording: reader.Recording, track: Track) -> str | None:
    picture = face_thumbnail(recording, track)
    if picture is None:
        return None
    with atomic.atomic_path(path) as partial:
        partial.write_bytes(picture)
    return path.name
