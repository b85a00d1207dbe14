"""Make folders of mixtures, in parallel; files appear only when complete, and an interrupted run can be resumed.

``OUT/mix/ITEM.wav`` the mixture, ``s1/`` the target, ``s2/``, ``s3/`` and ``noise/`` the rest, each as loud as it is
inside; ``video/ITEM.mkv`` the target's video with the mixture, ready for ``avse enhance``; ``mixtures.csv`` every
source with its level and place. The "muse" form is written by `avse.data.mixtures.muse_format`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from avse.data.mixtures import mixture_folder, mixture_table, muse_format
from avse.data.mixtures.mixture_table import PART, Problem, Row
from avse.data.mixtures.recipes import Clips, Mixture, clips_by_speaker, item_name, make_mixture, make_muse_mixture
from avse.data.mixtures.request import FOLDERS, MixtureRequest, noises_by_kind
from avse.errors import AvseError, InputError, UsageError
from avse.io import atomic, audio_files, formats, remux
from avse.io.disk import stop_when_full
from avse.io.folders import lock_folder
from avse.parallel import local
from avse.progress import Report


@dataclass(frozen=True)
class Outcome:
    """Hold the outcome of one mixture; ``problem`` is empty if it was made.

    ``passed_over`` are the clips that were skipped, and why; of earlier runs: all that they skipped.
    """

    item: str
    problem: str
    rows: Sequence[Row] = ()
    passed_over: tuple[Problem, ...] = ()

    @property
    def problems(self) -> set[Problem]:
        """Return the rows of bad.csv."""
        return {*self.passed_over, *([(self.item, self.problem)] if self.problem else [])}


def make_mixtures(request: MixtureRequest, num_jobs: int | None = None, force: bool = False) -> Iterator[Outcome]:
    """Make all mixtures that are not there yet, and yield the outcome of every mixture.

    Raises UsageError if the request is invalid, another process writes to the folder, or its contents are of
    another request or damaged; MissingError if the disk is full.
    """
    clips = clips_by_speaker(request.source, request.output)
    noises = noises_by_kind(request.noise, request.output) if request.noise else {}
    if len(clips) < request.config.num_speakers:
        raise UsageError(
            f"{request.source} has {len(clips)} speakers, but a mixture needs {request.config.num_speakers}.",
            "Expected a folder for each speaker: SPEAKER/**/CLIP.mp4",
        )
    mixture_folder.check_folder(request, clips, noises, force)
    with lock_folder(request.output), stop_when_full(request.output):
        mixture_folder.begin_folder(request, clips, noises, force)
        yield from _make_missing(request, clips, noises, num_jobs)


def _make_missing(request: MixtureRequest, clips: Clips, noises: Clips, num_jobs: int | None) -> Iterator[Outcome]:
    """Make the mixtures of a folder that this process holds."""
    names = {item_name(request.config, clips, index): index for index in range(request.count)}
    written = mixture_table.read_rows(request.output)
    done = {name: rows for name, rows in written.items() if _is_whole(request, name, rows)}
    sources = {str(path) for group in (*clips.values(), *noises.values()) for path in group}
    skipped = tuple(mixture_table.read_skipped(request.output, sources)) if done else ()
    for name in names:
        if name in done:
            yield Outcome(name, "", done[name], skipped)
    problems = set(skipped)
    todo = [name for name in names if name not in done]
    job = partial(_Maker, request, clips, noises, names)
    with atomic.open_for_filenames(request.output / PART) as file:
        file.write(mixture_table.to_csv([row for rows in done.values() for row in rows]))
        for ended in local.run_many(job, todo, local.count(num_jobs)):
            name, answer = ended.item, ended.answer
            outcome = Outcome(name, answer.message) if isinstance(answer, AvseError) else answer
            if not outcome.problems <= problems:
                problems |= outcome.problems
                mixture_table.write_problems(request.output, problems)
            file.write(mixture_table.to_csv(outcome.rows))
            file.flush()
            done |= {name: list(outcome.rows)} if not outcome.problem else {}
            yield outcome
    mixture_table.write_problems(request.output, problems)
    _finish(request, [row for name in sorted(done) for row in done[name]])


class _Maker:
    """Make and write mixtures by their name, in one process."""

    def __init__(self, request: MixtureRequest, clips: Clips, noises: Clips, names: dict[str, int]) -> None:
        self._request, self._clips, self._noises, self._names = request, clips, noises, names

    def __call__(self, name: str, report: Report) -> Outcome:
        try:
            with stop_when_full(self._request.output):
                return self._make(name)
        except (InputError, UsageError) as error:
            return Outcome(name, error.message)
        except OSError as error:
            return Outcome(name, str(error))

    def _make(self, name: str) -> Outcome:
        request, index = self._request, self._names[name]
        if request.layout == "muse":
            mixture = make_muse_mixture(request.config, self._clips, index)
            rows = mixture_table.describe_mixture(name, mixture, request)
            muse_format.write_item(request.output, muse_format.fields(rows), mixture)
        else:
            mixture = make_mixture(request.config, self._clips, self._noises, index)
            rows = mixture_table.describe_mixture(name, mixture, request)
            write_item(request.output, name, mixture)
        return Outcome(name, "", rows, tuple((str(path), problem) for path, problem in mixture.passed_over.items()))


def write_item(folder: Path, name: str, mixture: Mixture) -> None:
    """Write one mixture in our own layout, the video last: if it exists, the item is complete."""
    for role, audio in mixture.roles.items():
        audio_files.write_audio_file(folder / FOLDERS[role] / f"{name}.wav", audio)
    mixed = folder / "mix" / f"{name}.wav"
    audio_files.write_audio_file(mixed, mixture.audio)
    video = mixture.parts[0].file
    if formats.is_video(video):
        remux.mux_audio_under_video(video, mixed, folder / "video" / f"{name}.mkv")


def _is_whole(request: MixtureRequest, name: str, rows: Sequence[Row]) -> bool:
    if request.layout == "muse":
        return (request.output / muse_format.mixture_path(muse_format.fields(rows))).is_file()
    wanted = [f"{FOLDERS[row['role']]}/{name}.wav" for row in rows] + [f"mix/{name}.wav"]
    if formats.is_video(rows[0]["file"]):
        wanted.append(f"video/{name}.mkv")
    return all((request.output / path).is_file() for path in wanted)


def _finish(request: MixtureRequest, rows: Sequence[Row]) -> None:
    """Write the tables of the mixtures."""
    if request.layout == "muse":
        muse_format.write_list(request.output, request.config.num_speakers, rows)
    mixture_table.write_table(request.output, rows)
