"""Prepared clips for training: mouth crops and audio of every recording in one small file that loads without ffmpeg.

``SPEAKER/**/CLIP.ext`` (VoxCeleb2's ``dev/mp4`` inside is found) becomes ``CACHE/SPEAKER/GROUP-CLIP.npz`` with
``sound`` int16 (N,) at 16 kHz and, where there is video, ``lips`` uint8 (V, 88, 88), black where unseen; N = 640 V.
``varied``, int16 (N,), is the same clip with another voice, if requested.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from avse.config import SAMPLES_PER_FRAME
from avse.data import shards
from avse.data.augmentation import voices
from avse.data.clip_sources import ClipSources
from avse.data.corpus import check_output, sources
from avse.errors import InputError, UsageError, one_line, printable
from avse.faces import detection, face_tracker, mouth_roi
from avse.io import atomic, csv_files, folders, reader
from avse.io.arrays import to_floats, to_integers
from avse.io.disk import make_folder, stop_when_full
from avse.io.urls import missing, real_path
from avse.parallel import local
from avse.progress import Report

MIN_SEEN_SHARE = 0.5
BAD = "bad.csv"


@dataclass(frozen=True)
class Clip:
    """Hold one prepared clip: ``audio`` float32 (N,), lips uint8 (V, 88, 88) or None, seen bool (V,).

    ``varied`` is the audio with another voice, float32 (N,), if there is one.
    """

    audio: np.ndarray
    lips: np.ndarray | None
    seen: np.ndarray
    varied: np.ndarray | None = None


@dataclass(frozen=True)
class Outcome:
    """Hold the outcome of one recording; ``problem`` is empty if it was prepared."""

    source: Path
    problem: str


def load_clip(path: Path) -> Clip:
    """Read one prepared clip. UsageError, which names the file, for one that is damaged."""
    try:
        with shards.open_clip(path) as file, np.load(file) as stored:
            audio, crops, varied = stored["sound"], stored.get("lips"), stored.get("varied")
    except Exception as error:  # any error of zipfile, zlib or numpy, depending on the damage
        raise _damaged(path, one_line(error)) from error
    num_frames = audio.size // SAMPLES_PER_FRAME
    if audio.dtype != np.int16 or audio.ndim != 1 or num_frames == 0:
        raise _damaged(path, f"its audio is {audio.dtype} {audio.shape}")
    if varied is not None and (varied.dtype != np.int16 or varied.shape != audio.shape):
        raise _damaged(path, f"its varied voice is {varied.dtype} {varied.shape}")
    side = mouth_roi.CROP_SIZE
    if crops is not None and (crops.dtype != np.uint8 or crops.shape != (num_frames, side, side)):
        raise _damaged(path, f"its lips are {crops.dtype} {crops.shape} for {num_frames} frames")
    seen = np.zeros(num_frames, bool) if crops is None else mouth_roi.visible(crops)
    return Clip(to_floats(audio), crops, seen, None if varied is None else to_floats(varied))


def _damaged(path: Path, reason: str) -> UsageError:
    file = shards.file_of(path)
    return UsageError(f"{file} is damaged: {printable(reason)[:150]}.", shards.again(file))


def find_clips(cache: Path) -> dict[str, Sequence[Path]]:
    """Find prepared clips by speaker, in a fixed order: files of their own, and those in shards."""
    files: dict[str, list[Path]] = {}
    for path in sorted(cache.glob("*/[!.]*.npz")):
        files.setdefault(path.parent.name, []).append(path)
    packed = {path.stem: shards.Shard(path) for path in sorted(cache.glob(f"[!.]*{shards.SUFFIX}")) if path.is_file()}
    clips = {name: _both(packed.get(name), files.get(name)) for name in sorted({*files, *packed})}
    if not clips and not cache.is_dir():
        raise missing(cache, "folder", "Prepare recordings first: avse prepare DATA -o CACHE")
    if not clips:
        raise UsageError(f"No prepared clips in {cache}.", "Prepare recordings first: avse prepare DATA -o CACHE")
    return clips


def _both(packed: Sequence[Path] | None, files: list[Path] | None) -> Sequence[Path]:
    return [*packed, *files] if packed and files else packed or files or []


def find_prepared(pairs: Sequence[tuple[Path, Path]]) -> set[Path]:
    """Return those targets of ``pairs`` that are there, as files or in shards."""
    packed = {folder: shards.names_in(_shard_of(folder)) for folder in {target.parent for _, target in pairs}}
    return {target for _, target in pairs if target.name in packed[target.parent] or target.exists()}


def describe_prepared(pairs: Sequence[tuple[Path, Path]], cache: Path) -> str:
    """Say how many recordings are prepared, and for how many the clip of another one is in the way."""
    there, known = find_prepared(pairs), ClipSources(cache)
    taken = sum(bool(known.problem(source, target)) for source, target in pairs if target in there)
    others = f"; {taken} have the names of other recordings prepared there" if taken else ""
    return f"{len(there) - taken} of them already prepared{others}"


def _shard_of(folder: Path) -> Path:
    return folder.with_name(folder.name + shards.SUFFIX)


def prepare(
    tree: Path, cache: Path, num_jobs: int | None = None, into_shards: bool = False, vary_voices: bool = False
) -> Iterator[Outcome]:
    """Prepare all recordings of a tree in parallel; what is already there is kept.

    Bad ones are listed in bad.csv, beside those of other trees; so are those whose clip was made from another
    recording. With ``into_shards`` the clips of each speaker end in one file, as soon as all of them have ended. With
    ``vary_voices`` each clip that is prepared now also gets another voice (`avse.data.augmentation.voices`).

    Raises UsageError for an output folder among the recordings, MissingError if every other recording would fail too:
    no ffmpeg, no space, no package that varies voices.
    """
    if vary_voices:
        voices.check_available()
    pairs = sources(tree, cache)
    check_output(tree, cache, pairs)
    with folders.lock_folder(cache), stop_when_full(cache):
        for _, target in pairs:
            folders.check_inside(target.parent, cache)
        atomic.sweep_tree(cache)
        there, left = find_prepared(pairs), Counter(target.parent for _, target in pairs)
        bad, known = _bad_elsewhere(cache / BAD, tree), ClipSources(cache)
        for outcome, target in _outcomes(pairs, there, known, num_jobs, vary_voices):
            if outcome.problem:
                bad.append((str(real_path(outcome.source)), outcome.problem))
            elif target not in there:
                known.add(outcome.source, target)
            left[target.parent] -= 1
            if into_shards and left[target.parent] == 0:
                shards.pack(target.parent)
            yield outcome
        csv_files.write_csv(cache / BAD, [("source", "problem"), *sorted(bad)], raw_names=True)


def _bad_elsewhere(table: Path, tree: Path) -> list[tuple[str, str]]:
    """Return the rows of bad.csv whose recordings are not in a tree."""
    if not table.is_file():
        return []
    rows = [(source, problem) for _, (source, problem) in csv_files.read_csv(table, f"Remove {table}.", 2)][1:]
    folder = real_path(tree)
    return [row for row in rows if not Path(row[0]).is_relative_to(folder)]


def _outcomes(
    pairs: Sequence[tuple[Path, Path]],
    there: set[Path],
    known: ClipSources,
    num_jobs: int | None,
    vary_voices: bool,
) -> Iterator[tuple[Outcome, Path]]:
    """Yield outcomes of clips that exist already, then of those prepared now, each with its target."""
    for source, target in pairs:
        if target in there:
            yield Outcome(source, known.problem(source, target)), target
    todo = [(source, target) for source, target in pairs if target not in there]
    for ended in local.run_many(partial(_Preparer, vary_voices), todo, local.count(num_jobs)):
        yield Outcome(ended.item[0], ended.error.message if ended.error else ""), ended.item[1]


def prepare_clip(path: Path, detect: detection.Detector) -> dict[str, Any]:
    """Return audio and mouth crops of one recording, cut to a whole number of video frames that both cover."""
    recording = reader.probe(path)
    if recording.audio is None:
        raise InputError(f"{path} has no audio.", "Exclude this recording.")
    audio = reader.load_audio(recording)[:, 0]
    num_frames = len(audio) // SAMPLES_PER_FRAME
    if num_frames == 0:
        raise InputError(f"{path} is shorter than a video frame.", "Exclude this recording.")
    stored: dict[str, Any] = {}
    if recording.video is not None:
        tracks = face_tracker.track_faces(recording, detect)
        if not tracks:
            raise InputError(f"{path} shows no face.", "Exclude this recording.")
        stored["lips"] = np.concatenate(list(mouth_roi.crop_track(recording, tracks[0], num_frames)))
        if mouth_roi.visible(stored["lips"]).mean() < MIN_SEEN_SHARE:
            raise InputError(f"{path} shows no face for most of its time.", "Exclude this recording.")
    whole = audio[: num_frames * SAMPLES_PER_FRAME]
    return {"sound": to_integers(whole, np.dtype(np.int16)), **stored}


def _other_voice(audio: np.ndarray, target: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a clip's other voice, which its name determines; nothing if no pitch is found."""
    seed = crc32("/".join(target.parts[-2:]).encode(errors="surrogateescape"))
    varied = voices.vary_voice(audio, np.random.default_rng(seed))
    return {} if varied is None else {"varied": varied}


class _Preparer:
    """Detect faces and write prepared clips, in one process."""

    def __init__(self, vary_voices: bool) -> None:
        self._vary_voices = vary_voices
        self._detector = detection.Detector(num_threads=1)

    def __call__(self, paths: tuple[Path, Path], report: Report) -> None:
        source, target = paths
        with stop_when_full(target):
            stored = prepare_clip(source, self._detector)
            if self._vary_voices:
                stored |= _other_voice(stored["sound"], target)
            make_folder(target.parent)
            with atomic.atomic_path(target) as unfinished:
                np.savez_compressed(unfinished, **stored)
