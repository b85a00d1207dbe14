"""Enhance the voice of every face in a recording, in one pass, and describe the faces in ``faces.json``."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avse.active_speaker.selection import MAX_FACES
from avse.enhancement.arguments import as_audio_track, as_background, check_flags, check_helpers
from avse.enhancement.options import Options
from avse.enhancement.pipeline import Pipeline, Written, open_recording
from avse.enhancement.result import audio_warnings
from avse.enhancement.validation import check_background, check_background_fits, check_recording
from avse.errors import InputError, UsageError, short_repr
from avse.faces.thumbnail import face_thumbnails
from avse.io import atomic, jsonl, reader
from avse.io.encoding import DEFAULT_SETTINGS, OutputSettings, clips
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
from avse.io.ffmpeg_errors import retry_hint
from avse.io.formats import AUDIO_OUTPUTS, VIDEO_OUTPUTS
from avse.io.messages import Message
from avse.io.paths import as_path
from avse.progress import Report, silent
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import load_model

FACES_JSON = "faces.json"
MOUTH_AT_REST = "The mouth never moves; no audio was written for this face."


def enhance_all(
    recording: str | Path,
    folder: str | Path,
    *,
    suffix: str = ".wav",
    model: str | Path | Checkpoint = "avse",
    device: str = "auto",
    strength: float = 1.0,
    loudness_lufs: float | None = None,
    background: str | Path | None = None,
    audio_track: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
    settings: OutputSettings = DEFAULT_SETTINGS,
    force: bool = False,
    on_progress: Report = silent,
) -> dict[str, Any]:
    """Write ``face-1.wav``, ``face-1.png`` and so on, one for every face, and ``faces.json``, into ``folder``.

    The audio keeps rate, channels and length of the recording. A face whose mouth never moves, such as one on a
    photograph, gets a thumbnail and an entry in ``faces.json``, but no audio. The arguments that are not listed are
    those of `avse.enhancement.pipeline.enhance`.

    Args:
        suffix: file type of the outputs: audio, or .mp4, .mkv or .mov for one video per person.
        background: a file for the remaining audio; all voices and this file add up to the recording.

    Returns:
        What ``faces.json`` holds: facts about the recording, and for every face its number, position, when it is
        visible, when it speaks, and its files.

    Raises:
        UsageError: an option or path cannot be used. InputError: the recording cannot be read, or shows no face.
    """
    started = time.perf_counter()
    source, folder = as_path(recording, "recording"), as_path(folder, "folder")
    removed = as_background(background)
    audio_track = as_audio_track(audio_track)
    check_helpers(limits, on_progress, settings)
    check_flags(force=force)
    options = Options(
        speaker="all", strength=strength, loudness_lufs=loudness_lufs, with_background=removed is not None,
        measure_all=True, settings=settings,
    )  # fmt: skip
    check_suffix(suffix)
    check_recording(source)
    check_output_folder(folder, force, [source])
    earlier = _face_files(folder)
    check_background(source, None, removed, force)
    checkpoint = model if isinstance(model, Checkpoint) else load_model(model, device)
    opened = open_video(source, audio_track, limits, folder / f"face-1{suffix}", settings)
    check_background_fits(opened, removed, settings)
    pipeline = Pipeline(checkpoint, opened, options, on_progress)
    if not pipeline.selection.targets:
        raise InputError(f"{source} shows no moving face.", "Omit --speaker to use the audio alone.")
    files = {k: folder / f"face-{k + 1}{suffix}" for k in pipeline.selection.indices}
    outputs = [*files.values(), *([removed] if removed else [])]
    with _new_folder(folder), atomic.never_replacing(outputs, force):
        written = pipeline.write(outputs)
    faces = _describe_faces(pipeline, folder, files, written)
    summary = _summary(pipeline, source, outputs[0], faces, removed)
    summary["elapsed_seconds"] = time.perf_counter() - started
    jsonl.write_json(folder / FACES_JSON, summary)
    _remove_stale(earlier, faces)
    return summary


def _remove_stale(earlier: Sequence[Path], faces: Sequence[Mapping[str, Any]]) -> None:
    """Remove the files of an earlier run that this one has not replaced."""
    kept = {name for face in faces for name in (face["audio"], face["thumbnail"])}
    for path in earlier:
        if path.name not in kept:
            path.unlink(missing_ok=True)


def check_suffix(suffix: str) -> None:
    """Raise UsageError for a type of file that cannot be written."""
    if not isinstance(suffix, str) or suffix not in AUDIO_OUTPUTS | VIDEO_OUTPUTS:
        known = ", ".join(sorted(AUDIO_OUTPUTS | VIDEO_OUTPUTS))
        raise UsageError(
            f"--suffix {suffix if isinstance(suffix, str) else short_repr(suffix)} cannot be written.",
            f"Use one of: {known}",
        )


def _describe_faces(
    pipeline: Pipeline, folder: Path, files: Mapping[int, Path], written: Sequence[Written]
) -> list[dict[str, Any]]:
    """Save the thumbnail of every face, and return what ``faces.json`` holds of each."""
    scene = pipeline.selection.scene
    levels = {k: output.levels for k, output in zip(files, written, strict=False)}
    return [
        scene.facts(k, pipeline.stats.num_frames)
        | dict.fromkeys(("audio", "sound"), files[k].name if k in files else None)  # "sound" is the former key
        | {"thumbnail": _save_thumbnail(folder / f"face-{k + 1}.png", thumbnail)}
        | ({"levels": asdict(found)} if (found := levels.get(k)) else {})
        | ({} if k in files else {"reason": MOUTH_AT_REST})
        for k, thumbnail in enumerate(face_thumbnails(pipeline.recording, scene.tracks))
    ]


def _summary(
    pipeline: Pipeline, source: Path, output: Path, faces: Sequence[dict[str, Any]], background: Path | None
) -> dict[str, Any]:
    """Return what ``faces.json`` holds, without the time taken."""
    audio, stats = pipeline.recording.audio_stream, pipeline.stats
    is_clipped = pipeline.options.loudness_lufs is None and clips(audio, output)
    warnings = [
        *audio_warnings(pipeline.recording, stats, is_clipped),
        *map(Message._make, pipeline.selection.warnings),
        *pipeline.recording.notices,
    ]
    visible = [face["seen_share"] for face in faces]
    return {
        "recording": str(source),
        "model": str(pipeline.checkpoint.about.get("name", "")),
        "duration_seconds": stats.num_samples / audio.sample_rate,
        "sample_rate": audio.sample_rate,
        "num_channels": audio.num_channels,
        "num_faces": len(faces),
        "seen_share": max(visible),
        "background": str(background) if background else None,
        "note": " ".join(text for _, text in warnings),
        "notes": [text for _, text in warnings],
        "warnings": [warning.as_dict() for warning in warnings],
        "faces": list(faces),
    }


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[None]:
    """Make a folder if there is none; remove it again if the work in it fails."""
    is_new = not folder.is_dir()
    folder.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def analyse_recording(
    path: Path, checkpoint: Checkpoint, on_progress: Report = silent, *,
    audio_track: int | None = None, limits: Limits = DEFAULT_LIMITS,
) -> Pipeline:  # fmt: skip
    """Find the faces of a recording and measure their activity, also that of a single one.

    Returns the pipeline before it enhances anything. Its ``selection.scene`` holds the faces, for example to let a user
    choose one, and to enhance it without detecting faces again::

        found = analyse_recording(path, checkpoint)
        scene = found.selection.scene
        facts = [scene.facts(k, found.stats.num_frames) for k in range(len(scene.tracks))]  # number, speech_share, ...
        thumbnails = face_thumbnails(found.recording, scene.tracks)  # PNG, or None
        avse.enhance(path, output, model=checkpoint, speaker=facts[0]["number"], tracks=scene.tracks)

    Raises:
        UsageError: there is no such file. InputError: it cannot be read, has no audio or no video.
    """
    check_recording(path)
    options = Options(speaker="all", measure_all=True)
    return Pipeline(checkpoint, open_video(path, audio_track, limits), options, on_progress)


def open_video(
    path: Path,
    audio_track: int | None,
    limits: Limits,
    output: Path | None = None,
    settings: OutputSettings = DEFAULT_SETTINGS,
) -> reader.Recording:
    """Open a recording that has audio and video, and check that ``output`` can hold it. InputError if not."""
    recording = open_recording(path, audio_track, limits, output, settings)
    if recording.video_problem:
        raise InputError(f"The video of {path} cannot be decoded: {recording.video_problem}.", retry_hint())
    if recording.video is None:
        raise InputError(f"{path} has no video.", "Use a recording with video.")
    return recording


def check_output_folder(folder: Path, force: bool, inputs: Sequence[Path] = ()) -> None:
    """Raise UsageError for a folder that cannot be written to, or that already contains outputs of faces or an input
    whose name is that of such an output.

    What a killed run left of them is removed.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", "Choose a folder; it receives one file per face.")
    if folder.is_dir():
        for path in [folder / FACES_JSON, *_face_files(folder)]:
            atomic.check_output(path, force, inputs)
        atomic.sweep(folder, [f"face-{number}" for number in range(1, MAX_FACES + 1)])
    else:
        atomic.check_output(folder, force)


def _face_files(folder: Path) -> list[Path]:
    """Return the paths of voices and thumbnails in a folder, of this recording or of an earlier one."""
    suffixes = AUDIO_OUTPUTS | VIDEO_OUTPUTS | {".png"}
    return [
        path
        for path in sorted(folder.glob("face-*"))
        if re.fullmatch(r"face-[0-9]+", path.stem) and path.suffix in suffixes
    ]


def _save_thumbnail(path: Path, png: bytes | None) -> str | None:
    if png is None:
        return None
    with atomic.atomic_path(path) as partial:
        partial.write_bytes(png)
    return path.name
