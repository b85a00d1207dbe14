"""``avse batch``: enhance many recordings, on this machine or on several."""

from __future__ import annotations

import functools
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avse.active_speaker.speaker_choice import SPEAKER_WORDS
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
from avse.io.formats import OUTPUTS

from .batch_progress import bars
from .listing import report_incomplete, report_kept, report_passed_over
from .options import (
    AudioTrack,
    Bitrate,
    Device,
    Json,
    KeepTracks,
    Loudness,
    MaxMegabytes,
    MaxSeconds,
    Model,
    NoVideo,
    Quiet,
    Strength,
    complete,
    lufs,
)
from .progress import say

if TYPE_CHECKING:
    from avse.batch.discovery import Item
    from avse.batch.job import EnhanceJob
    from avse.batch.rows import Row, Summary
    from avse.batch.settings import Engine, Settings
    from avse.io.encoding import OutputSettings

SUFFIXES = (*OUTPUTS, "keep")
Engines = Enum("Engines", {"local": "local", "ray": "ray"}, type=str)

Recordings = Annotated[
    str, typer.Argument(metavar="DIR|URL|@LIST", help="Folder, fsspec URL, or @FILE with one recording per line.")
]
Output = Annotated[
    str, typer.Option("--output", "-o", metavar="DIR|URL", help="Output folder or URL; mirrors the input folder.")
]
Suffix = Annotated[
    str,
    typer.Option(
        metavar="|".join(SUFFIXES),
        autocompletion=complete(*SUFFIXES),
        help="Type of the outputs; keep: that of each recording, .wav for video files without video.",
    ),
]
Pattern = Annotated[
    str | None, typer.Option("--glob", metavar="PATTERN", help="Only names or paths that match, e.g. '*.mp4'.")
]
Recursive = Annotated[bool, typer.Option("--recursive/--flat", help="Include subfolders, or leave them out.")]
Listed = Annotated[
    Path | None,
    typer.Option("--list", help="Only the files listed in this file, one per line."),
]
Number = Annotated[str, typer.Option("--jobs", "-j", metavar="NUMBER|auto", help="Recordings processed in parallel.")]
Speaker = Annotated[
    str,
    typer.Option(
        metavar="|".join((*SPEAKER_WORDS, "all", "NUMBER[,NUMBER]")),
        autocompletion=complete(*SPEAKER_WORDS, "all"),
        help="Target speaker; number: as in avse faces; everyone: all people in one file; all: a folder with one "
        "file per person.",
    ),
]
References = Annotated[
    Path | None,
    typer.Option(
        help="Folder of clean recordings with the same structure: compute scores. With --speaker all: for each, a "
        "folder of face-1.wav, face-2.wav, ..."
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(help="Folder for results and report; default: the output folder."),
]
Where = Annotated[Engines, typer.Option(help="local: processes on this machine; ray: a cluster.")]
Address = Annotated[
    str,
    typer.Option(metavar="auto|HOST:PORT|local", help="Ray cluster; auto: the one on this machine; local: start one."),
]
Share = Annotated[
    float | None, typer.Option(min=0, help="Share of a GPU for each job on a cluster; default: 0.25 if it has GPUs.")
]
Force = Annotated[bool, typer.Option("--force", "-f", help="Redo finished recordings.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done without doing it.")]


def batch(
    recordings: Recordings,
    output: Output,
    suffix: Suffix = ".wav",
    pattern: Pattern = None,
    recursive: Recursive = True,
    listed: Listed = None,
    jobs: Number = "auto",
    model: Model = "avse",
    device: Device = "auto",
    no_video: NoVideo = False,
    speaker: Speaker = "active",
    strength: Strength = 1.0,
    loudness: Loudness = "keep",
    audio_track: AudioTrack = None,
    max_seconds: MaxSeconds = DEFAULT_LIMITS.max_seconds,
    max_megabytes: MaxMegabytes = DEFAULT_LIMITS.max_megabytes,
    bitrate: Bitrate = None,
    keep_tracks: KeepTracks = False,
    reference_dir: References = None,
    results: Results = None,
    engine: Where = Engines["local"],
    address: Address = "auto",
    gpus_per_job: Share = None,
    force: Force = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Enhance every recording in a folder.

    The output mirrors the structure of the folder. Run the same command again to resume: finished files are skipped.
    Failed files are listed at the end and set the exit code to 1.

    Example:
    avse batch recordings/ -o cleaned/
    avse batch recordings/ -o cleaned/ --suffix keep --glob '*.mp4' --jobs 2
    avse batch s3://bucket/talks -o s3://bucket/cleaned --results log/ --engine ray
    """
    from avse import batch as library

    folder, listed = (".", Path(recordings[1:])) if recordings.startswith("@") else (recordings, listed)
    if engine is Engines.ray:  # other machines have other working folders
        folder, output = map(_everywhere, (folder, output))
        model = _everywhere(model) if model.endswith(".safetensors") else model
    each_person = speaker.strip().lower() == "all"
    _check(recordings, folder, each_person and no_video)
    found = library.survey(
        folder, output, suffix=suffix, pattern=pattern, recursive=recursive, listed=listed, each_person=each_person
    )
    report_passed_over(folder, found.passed_over)
    options = {
        "use_video": not no_video, "speaker": speaker, "strength": strength, "loudness_lufs": lufs(loudness),
        "audio_track": audio_track,
    }  # fmt: skip
    extra = {"limits": Limits(max_seconds, max_megabytes), "settings": _output_settings(suffix, bitrate, keep_tracks)}
    asked = {name: value for name, value in (("bitrate", bitrate), ("keep_tracks", keep_tracks)) if value}
    about: Summary = {
        "model": model, "device": device, "engine": engine.value, "suffix": suffix, "options": options | asked,
        **({"passed_over": found.passed_over} if found.passed_over else {}),
    }  # fmt: skip
    references = _everywhere(str(reference_dir)) if reference_dir else None
    job = library.EnhanceJob(model, device, options | extra, references)
    settings = library.Settings(
        output, _results(results, output), force=force, needs_scores=references is not None, about=about
    )
    count = _number(jobs)
    if dry_run:
        return _show_plan(found.items, settings, as_json)
    with _engine(engine, count, address, gpus_per_job) as (run_many, num_workers):
        summary = _run(job, found.items, replace(settings, engine=run_many, num_workers=num_workers), quiet)
    report_incomplete(summary["incomplete"], settings.results)
    report_kept(summary["kept"])
    _report(summary, settings, quiet, as_json)
    raise typer.Exit(1 if summary["failed"] else 0)


def _check(recordings: str, folder: str, lacks_video: bool) -> None:
    """Raise UsageError for a file in place of a folder, and for one file per person without the video."""
    from avse.errors import UsageError

    if os.path.isfile(folder):
        name = shlex.quote(recordings)
        raise UsageError(f"{recordings} is a file, not a folder.", f"Use: avse enhance {name}")
    if lacks_video:
        raise UsageError("--speaker all needs the video.", "Omit --no-video or --speaker.")


def _output_settings(suffix: str, bitrate: float | None, keep_tracks: bool) -> OutputSettings:
    """Return the settings of the outputs; with ``keep``, those that a recording's type cannot have are left out."""
    from avse.io.encoding import OutputSettings

    settings = OutputSettings(bitrate, keep_tracks, is_lenient=suffix == "keep")
    if suffix != "keep":
        settings.check(suffix)
    return settings


def _run(job: EnhanceJob, items: list[Item], settings: Settings, quiet: bool) -> Summary:
    """Run the batch with progress bars; print every failure to standard error."""
    from avse import batch as library
    from avse.errors import printable

    with bars(quiet, len(items)) as shown:

        def on_progress(worker: int, item: Item, stage: str, done: float, total: float) -> None:
            shown.working(worker, printable(item.name), stage, done, total)

        def on_row(row: Row) -> None:
            shown.ended(with_work=row["attempts"] > 0)
            if row["status"] == "failed":
                say(f"avse: {row['error']}\n      {row['hint']}")

        return library.run(job, items, settings, on_progress, on_row)


@contextmanager
def _engine(engine: Engines, count: int | None, address: str, share: float | None) -> Iterator[tuple[Engine, int]]:
    """Yield the engine and the number of workers: this machine, or a cluster, connected for as long as this lasts."""
    from avse import batch as library

    if engine is Engines.local:
        yield library.run_many, count or library.num_cores()
        return
    from avse.parallel import ray

    with ray.connected(address):
        num_gpus = ray.gpu_share() if share is None else share
        yield functools.partial(ray.run_many, num_gpus=num_gpus), count or ray.capacity(num_gpus)


def _show_plan(items: list[Item], settings: Settings, as_json: bool) -> None:
    from avse import batch as library
    from avse.errors import printable
    from avse.io.jsonl import to_json

    before = library.Journal(settings.results).last()
    items = library.settled(items, settings, before)
    state = library.states(items, settings, before)
    rows = [{"source": item.source, "output": item.output, "state": state[item.name]} for item in items]
    for row in rows:
        typer.echo(to_json(row) if as_json else printable(f"{row['state']}  {row['source']} -> {row['output']}"))


def _results(results: Path | None, output: str) -> Path:
    """Return the folder of the results. UsageError if it is not local."""
    from avse.batch import storage
    from avse.errors import UsageError
    from avse.io.folders import check_folder

    if results is None and storage.is_url(output):
        raise UsageError("The results cannot be written to a URL.", "Use a local folder: --results DIR")
    check_folder(results or Path(output))
    return results or Path(output)


def _number(jobs: str) -> int | None:
    """Parse ``--jobs``; None is auto."""
    from avse.errors import UsageError

    if jobs == "auto":
        return None
    if not jobs.isdecimal() or int(jobs) == 0:
        raise UsageError(f"--jobs {jobs} is not a number of jobs.", "Use a number of 1 or more, or auto.")
    return int(jobs)


def _everywhere(place: str) -> str:
    """Return a path that other machines understand; URLs are unchanged."""
    return place if "://" in place else os.path.abspath(place)


def _report(summary: Summary, settings: Settings, quiet: bool, as_json: bool) -> None:
    """Print the outcome of the batch."""
    from avse.io.jsonl import to_json

    if as_json:
        typer.echo(to_json(summary))
        return
    counts = ", ".join(f"{summary[status]} {status}" for status in ("done", "skipped", "failed") if summary[status])
    speed = f"; {summary['times_real_time']:.1f} times real time" if summary["done"] else ""
    took = f"{summary['elapsed_seconds']:.1f} s for {summary['recording_seconds']:.1f} s of recordings{speed}"
    if not quiet:
        typer.echo(f"{settings.output}: {counts} ({took})\nReport: {settings.results / 'report.html'}")
