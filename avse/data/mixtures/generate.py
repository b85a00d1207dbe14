"""Folders of mixtures: made in parallel, whole files only, and continued where they stopped.

``OUT/mix/ITEM.wav`` the mixture, ``s1/`` the target, ``s2/``, ``s3/`` and ``noise/`` the rest, each as loud as it is
inside; ``video/ITEM.mkv`` the target's video with the mixture, ready for ``avse enhance``; ``mixtures.csv`` every
source with its level and place. The "muse" form is written by `avse.data.muse_folder`.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from avse.config import SAMPLE_RATE
from avse.data import corpus
from avse.data.mixtures import muse_format
from avse.data.mixtures.recipes import (
    Clips,
    Mixture,
    MixtureConfig,
    clips_by_speaker,
    item_name,
    make_mixture,
    make_muse_mixture,
    outside,
)
from avse.errors import AvseError, InputError, UsageError
from avse.io import atomic, audio_files, csv_files, formats, remux
from avse.io.disk import stop_when_full
from avse.io.folders import LOCK, check_inside, check_own_file, lock_folder
from avse.io.listing import list_recordings
from avse.parallel import local
from avse.progress import Report

COLUMNS = ("item", "role", "speaker", "file", "offset_seconds", "start_seconds", "seconds", "level_db")
FOLDERS = {"target": "s1", "talker1": "s2", "talker2": "s3", "talker3": "s4", "talker4": "s5", "noise": "noise"}
LAYOUTS = ("avse", "muse")
SETTINGS, TABLE, PART, BAD = "mixtures.json", "mixtures.csv", "mixtures.part.csv", "bad.csv"
WRITTEN = (*FOLDERS.values(), "mix", "video", "audio_clean", "audio_mixture", "orig")
REPAIR = "Correct that line, or give --force to start anew."
Row = dict[str, str]


@dataclass(frozen=True)
class MixtureRequest:
    """Hold what `make_folder` is asked for."""

    source: Path
    output: Path
    config: MixtureConfig
    count: int
    noise: Path | None = None
    layout: str = "avse"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UsageError(f"Unknown layout {self.layout!r}.", f"Use one of: {', '.join(LAYOUTS)}.")
        if (self.noise is None) != (self.config.noise_db is None):
            raise UsageError("Noise needs its files and its level.", "Give both: --noise DIR --noise-db -10 0")
        if self.layout == "muse" and (self.noise or self.config.num_speakers < 2):
            raise UsageError("Mixtures of the MuSE family hold talkers only.", "Leave --noise out.")
        if self.config.num_speakers > len(FOLDERS) - 1:
            raise UsageError(f"{self.config.num_speakers} speakers are too many.", f"At most {len(FOLDERS) - 1}.")
        if self.output.exists() and not self.output.is_dir():
            raise UsageError(f"{self.output} is a file.", "Name a folder for the mixtures.")


@dataclass(frozen=True)
class Outcome:
    """Hold the outcome of one mixture; ``problem`` is empty if it was made."""

    item: str
    problem: str
    rows: Sequence[Row] = ()
    passed_over: tuple[tuple[str, str], ...] = ()


def make_folder(order: MixtureRequest, num_jobs: int | None = None, force: bool = False) -> Iterator[Outcome]:
    """Make all mixtures that are not there yet, and yield what became of each of all of them.

    Raises UsageError where the request is invalid, another process writes to the folder, or what lies there is of
    something else or damaged; MissingError where the disk is full.
    """
    clips = clips_by_speaker(order.source, order.output)
    noises = _kinds(order.noise, order.output) if order.noise else {}
    if len(clips) < order.config.num_speakers:
        raise UsageError(
            f"{order.source} has {len(clips)} speakers, and a mixture needs {order.config.num_speakers}.",
            "Expected a folder for each speaker: SPEAKER/**/CLIP.mp4",
        )
    _check_unlocked(order, clips, noises, force)
    with lock_folder(order.output), stop_when_full(order.output):
        _settle(order, clips, noises, force)
        yield from _make_missing(order, clips, noises, num_jobs)


def _make_missing(order: MixtureRequest, clips: Clips, noises: Clips, num_jobs: int | None) -> Iterator[Outcome]:
    """Make the mixtures of a folder that this process holds."""
    names = {item_name(order.config, clips, index): index for index in range(order.count)}
    done = {name: rows for name, rows in _rows_so_far(order.output).items() if _is_whole(order, name, rows)}
    for name in names:
        if name in done:
            yield Outcome(name, "", done[name])
    found = []
    todo = [name for name in names if name not in done]
    job = partial(_Maker, order, clips, noises, names)
    with atomic.open_for_filenames(order.output / PART) as file:
        file.write(_as_csv([row for rows in done.values() for row in rows]))
        for ended in local.run_many(job, todo, local.count(num_jobs)):
            name, answer = ended.item, ended.answer
            outcome = Outcome(name, answer.message) if isinstance(answer, AvseError) else answer
            file.write(_as_csv(outcome.rows))
            file.flush()
            done |= {name: list(outcome.rows)} if not outcome.problem else {}
            found.append(outcome)
            yield outcome
    _finish(order, [row for name in sorted(done) for row in done[name]], found)


class _Maker:
    """Make and write mixtures by their name, in one process."""

    def __init__(self, order: MixtureRequest, clips: Clips, noises: Clips, names: dict[str, int]) -> None:
        self._order, self._clips, self._noises, self._names = order, clips, noises, names

    def __call__(self, name: str, report: Report) -> Outcome:
        try:
            with stop_when_full(self._order.output):
                return self._make(name)
        except (InputError, UsageError) as error:
            return Outcome(name, error.message)
        except OSError as error:
            return Outcome(name, str(error))

    def _make(self, name: str) -> Outcome:
        order, index = self._order, self._names[name]
        if order.layout == "muse":
            mixture = make_muse_mixture(order.config, self._clips, index)
            rows = _describe(name, mixture, order)
            muse_format.write_item(order.output, muse_format.fields(rows), mixture)
        else:
            mixture = make_mixture(order.config, self._clips, self._noises, index)
            rows = _describe(name, mixture, order)
            write_item(order.output, name, mixture)
        return Outcome(name, "", rows, tuple((str(path), problem) for path, problem in mixture.passed_over.items()))


def write_item(folder: Path, name: str, mixture: Mixture) -> None:
    """Write one mixture in our own layout; the video last, so that with it the item is whole."""
    for role, sound in mixture.roles.items():
        audio_files.write_audio_file(folder / FOLDERS[role] / f"{name}.wav", sound)
    mixed = folder / "mix" / f"{name}.wav"
    audio_files.write_audio_file(mixed, mixture.sound)
    video = mixture.parts[0].file
    if formats.is_video(video):
        remux.mux_audio_under_video(video, mixed, folder / "video" / f"{name}.mkv")


def _describe(name: str, mixture: Mixture, order: MixtureRequest) -> list[Row]:
    """Return the rows of a mixture; files are relative to the folder of the clips, or of the noise."""
    rows = []
    for part in mixture.parts:
        file = part.file.relative_to(order.noise if part.role == "noise" and order.noise else order.source)
        seconds = [f"{samples / SAMPLE_RATE:.7f}" for samples in (part.offset, part.start, part.length)]
        values = (name, part.role, part.speaker, file.as_posix(), *seconds, repr(round(part.level_db, 6)))
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def survey(order: MixtureRequest) -> dict[str, str]:
    """Return the files among clips and noises that are no recordings, and why each was passed over."""
    found = dict(corpus.survey(order.source, order.output).passed_over)
    if order.noise:
        noises = list_recordings(order.noise, accept=formats.is_audio)
        found |= corpus.without(noises, order.noise, order.output).passed_over
    return found


def _kinds(noise: Path, output: Path) -> dict[str, list[Path]]:
    """Return noise files by the folder they are in; what lies in ``output`` is none."""
    kinds: dict[str, list[Path]] = {}
    listed = list_recordings(noise, accept=formats.is_audio)
    for path in sorted(outside(output, noise, [noise / name for name in listed.names])):
        kinds.setdefault(path.parent.relative_to(noise).as_posix(), []).append(path)
    if not kinds:
        raise UsageError(f"No sound files in {noise}.", "Give --noise a folder with .wav, .flac, .ogg or .mp3 files.")
    return kinds


def _check_unlocked(order: MixtureRequest, clips: Clips, noises: Clips, force: bool) -> None:
    """Raise UsageError if the folder holds something else, or if ``force`` would remove clips."""
    kept = order.output / SETTINGS
    others = {LOCK, SETTINGS}
    if not kept.exists() and order.output.is_dir() and {path.name for path in order.output.iterdir()} - others:
        raise UsageError(f"{order.output} is not empty, and holds no mixtures.", "Name another folder.")
    if kept.exists():
        check_own_file(kept)
        if force:
            _check_apart(order)
        elif kept.read_bytes() != _settings(order, clips, noises).encode():
            hint = "Name another folder, or give --force to start anew."
            raise UsageError(f"{order.output} holds other mixtures, or {kept} is damaged.", hint)


def _settle(order: MixtureRequest, clips: Clips, noises: Clips, force: bool) -> None:
    """Note what the folder, which this process holds, is made of. With ``force`` remove the mixtures in it first."""
    _check_unlocked(order, clips, noises, force)
    for name in (*WRITTEN, SETTINGS, PART, TABLE, BAD):
        check_inside(order.output / name, order.output)
    if force:
        for path in [order.output / name for name in (*WRITTEN, PART, TABLE, BAD)] + _muse_lists(order.output):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    atomic.sweep_tree(order.output)
    with atomic.atomic_path(order.output / SETTINGS) as partial_file:
        partial_file.write_text(_settings(order, clips, noises))


def _muse_lists(folder: Path) -> list[Path]:
    return sorted(folder.glob("mixture_data_list_*mix.csv"))


def _settings(order: MixtureRequest, clips: Clips, noises: Clips) -> str:
    """Return what a folder of mixtures is made of, as JSON."""
    values = {"layout": order.layout, "clips_sha256": _names_sha256(order.source, clips)} | asdict(order.config)
    if order.noise:
        values["noises_sha256"] = _names_sha256(order.noise, noises)
    return json.dumps(values, indent=2) + "\n"


def _check_apart(order: MixtureRequest) -> None:
    """Raise UsageError where starting anew would remove what the mixtures are made of."""
    for folder in (order.source, order.noise):
        if folder and folder.resolve().is_relative_to(order.output.resolve()):
            raise UsageError(f"{folder} is in {order.output}, which would be removed.", "Name another output folder.")


def _names_sha256(root: Path, clips: Clips) -> str:
    """Return the hash of the names of all clips, relative to their folder."""
    names = "\n".join(path.relative_to(root).as_posix() for paths in clips.values() for path in paths)
    return hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest()


def _rows_so_far(folder: Path) -> dict[str, list[Row]]:
    """Return rows by item, of a run that ended and of one that was broken off.

    A last line that was cut, and its item with it, is left out; UsageError for any other that is no row.
    """
    found: dict[str, list[Row]] = {}
    for name in (TABLE, PART):
        path = folder / name
        check_own_file(path)
        text = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
        by_item: dict[str, list[Row]] = {}
        whole = text[: text.rfind("\n") + 1]
        for line, values in csv_files.parse_csv(path, whole, REPAIR, len(COLUMNS)):
            if tuple(values) != COLUMNS:
                row = dict(zip(COLUMNS, values, strict=True))
                _check_row(path, line, row)
                by_item.setdefault(row["item"], []).append(row)
        if whole != text and by_item:
            by_item.popitem()
        found |= by_item
    return found


def _check_row(path: Path, line: int, row: Row) -> None:
    """Raise UsageError for a row that `avse mix` does not write."""
    if not row["item"] or "/" in row["item"] or row["role"] not in FOLDERS or not row["file"]:
        csv_files.refuse_row(path, line, "it names no part of a mixture", REPAIR)
    for name in ("offset_seconds", "start_seconds", "seconds", "level_db"):
        try:
            is_fine = math.isfinite(float(row[name]))
        except ValueError:
            is_fine = False
        if not is_fine:
            csv_files.refuse_row(path, line, f"its {name} is {row[name]!r}", REPAIR)


def _is_whole(order: MixtureRequest, name: str, rows: Sequence[Row]) -> bool:
    if order.layout == "muse":
        return (order.output / muse_format.mixture_path(muse_format.fields(rows))).is_file()
    wanted = [f"{FOLDERS[row['role']]}/{name}.wav" for row in rows] + [f"mix/{name}.wav"]
    if formats.is_video(rows[0]["file"]):
        wanted.append(f"video/{name}.mkv")
    return all((order.output / path).is_file() for path in wanted)


def _as_csv(rows: Sequence[Row]) -> str:
    return csv_files.to_csv([[row[name] for name in COLUMNS] for row in rows])


def _finish(order: MixtureRequest, rows: Sequence[Row], found: Sequence[Outcome]) -> None:
    """Write the lists of what is there and of what could not be used."""
    table = [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]
    csv_files.write_csv(order.output / TABLE, table, raw_names=True)
    if order.layout == "muse":
        muse_format.write_list(order.output, order.config.num_speakers, rows)
    (order.output / PART).unlink()
    problems = sorted({pair for outcome in found for pair in outcome.passed_over})
    problems += [(outcome.item, outcome.problem) for outcome in found if outcome.problem]
    if problems:
        csv_files.write_csv(order.output / BAD, [("source", "problem"), *problems], raw_names=True)
