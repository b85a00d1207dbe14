"""A sound of every face in a recording, in one pass, and a page of facts that says which is whom."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avse.active_speaker.scene import Scene
from avse.active_speaker.selection import analyse_faces, check_speaker
from avse.dsp.levels import AudioStats
from avse.enhancement.pipeline import measure_audio
from avse.enhancement.result import audio_warnings
from avse.enhancement.streaming import enhance_streams
from avse.enhancement.validation import check_recording, check_strength, check_tracks
from avse.errors import InputError, UsageError
from avse.faces.thumbnail import face_thumbnail
from avse.io import atomic, jsonl, reader
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
from avse.io.writer import open_audio_file, reraise_write_errors
from avse.progress import Report, silent
from avse.weights.checkpoint import Checkpoint
from avse.weights.pretrained import load_model

FACES_JSON = "faces.json"


@dataclass(frozen=True)
class RecordingAnalysis:
    """What a first pass over a recording shows: its tracks, its sound's length and level, and the faces that count."""

    recording: reader.Recording
    stats: AudioStats
    scene: Scene

    def facts(self) -> list[dict[str, Any]]:
        """What is known of every face, in plain values, largest first."""
        return [self.scene.facts(k, self.stats.num_frames) for k in range(len(self.scene.tracks))]


def analyse_recording(
    path: Path, checkpoint: Checkpoint, on_progress: Report = silent, *,
    audio_track: int = 1, limits: Limits = DEFAULT_LIMITS,
) -> RecordingAnalysis:  # fmt: skip
    """Find the faces of a recording with sound, and see how their mouths go with it, be it only one.

    Raises:
        UsageError: there is no such file. InputError: it cannot be read, has no sound or no picture.
    """
    check_recording(path)
    recording = reader.probe(path, audio_track, limits)
    check_tracks(recording, None)
    if recording.video is None:
        raise InputError(f"{path} has no picture.", "Give a video.")
    stats = measure_audio(recording, on_progress)
    return RecordingAnalysis(
        recording, stats, analyse_faces(recording, stats, checkpoint.net, on_progress, watch_one=True)
    )


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

    Sounds keep rate, channels and length of the recording. Returns what ``faces.json`` holds: for every face its
    number, position, when it is seen, and its files.

    Raises:
        UsageError: the paths make no sense. InputError: the recording cannot be read, or shows no face.
    """
    source, folder = Path(recording), Path(folder)
    check_recording(source)
    check_output_folder(folder, force)
    check_strength(strength)
    checkpoint = model if isinstance(model, Checkpoint) else load_model(str(model), device)
    check_speaker(checkpoint.net, 1)
    seen = analyse_recording(source, checkpoint, on_progress, audio_track=audio_track, limits=limits)
    if not seen.scene.tracks:
        raise InputError(f"There is no face in {source}.", "Without --speaker the sound alone is used.")
    followed = [face for k in range(len(seen.scene.tracks)) if (face := seen.scene.followed(k))]
    names = [f"face-{k + 1}" for k in range(len(followed))]
    folder.mkdir(exist_ok=True)
    steps = enhance_streams(checkpoint.net, seen.recording, seen.stats, followed, on_progress, strength)
    with write_all([folder / f"{name}.wav" for name in names], seen.recording, seen.stats.num_samples, steps):
        facts = [
            values
            | {"sound": f"{name}.wav", "thumbnail": _save_thumbnail(folder / f"{name}.png", seen.recording, face.track)}
            for name, values, face in zip(names, seen.facts(), followed, strict=True)
        ]
    summary = {
        "recording": str(source),
        "notes": audio_warnings(seen.recording, seen.stats, clips=True),
        "faces": facts,
    }
    jsonl.write_json(folder / FACES_JSON, summary)
    for path in _of_faces(folder):
        if path.stem not in names:
            path.unlink()
    return summary


def check_output_folder(folder: Path, force: bool) -> None:
    """UsageError, before any work, for a folder that cannot be written to, or that holds sounds of faces already."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file.", "Name a folder, in which every face gets a file.")
    if folder.is_dir():
        for path in [folder / FACES_JSON, *_of_faces(folder)]:
            atomic.check_output(path, force)
    else:
        atomic.check_output(folder, force)


def _of_faces(folder: Path) -> list[Path]:
    """Sounds and pictures of faces, of this recording or of an earlier one."""
    return [path for path in sorted(folder.glob("face-*")) if re.fullmatch(r"face-[0-9]+\.(wav|png)", path.name)]


@contextlib.contextmanager
def write_all(
    paths: Sequence[Path], recording: reader.Recording, num_samples: int, steps: Iterator[tuple[np.ndarray, ...]]
) -> Iterator[None]:
    """Write one block after the other to several WAV files at once, all of which appear when all are whole."""
    assert recording.audio is not None
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(atomic.atomic_path(path)) for path in paths]
        with reraise_write_errors(), contextlib.ExitStack() as open_files:
            sounds = [open_files.enter_context(open_audio_file(part, recording.audio, num_samples)) for part in parts]
            for blocks in steps:
                for sound, block in zip(sounds, blocks, strict=True):
                    sound.write(np.clip(block, -1.0, 1.0))
        yield


def _save_thumbnail(path: Path, recording: reader.Recording, track: Any) -> str | None:
    picture = face_thumbnail(recording, track)
    if picture is None:
        return None
    with atomic.atomic_path(path) as partial:
        partial.write_bytes(picture)
    return path.name
