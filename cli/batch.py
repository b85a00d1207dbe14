"""``avse batch``: many recordings, on this machine or on several."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from contextlib import ExitStack
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avse.sandbox import ORDINARY, Limits

from .batch_progress import bars
from .pipes import lufs

if TYPE_CHECKING:
    from avse.batch import Engine, EnhanceJob, Item, Settings

Engines = Enum("Engines", {"local": "local", "ray": "ray"}, type=str)


def batch(
    recordings: Annotated[
        str, typer.Argument(metavar="DIR|URL|@LIST", help="Folder, fsspec URL, or @FILE with one recording a line.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder or URL; the input's tree is mirrored in it.")],
    suffix: Annotated[
        str, typer.Option(help="Of the outputs: .wav, .flac, .mp4, .mkv, .mov; keep: each recording's own.")
    ] = ".wav",
    pattern: Annotated[str | None, typer.Option("--glob", help="Only names or paths that match: '*.mp4'.")] = None,
    recursive: Annotated[bool, typer.Option("--recursive/--flat", help="Also what lies in folders below.")] = True,
    listed: Annotated[
        Path | None, typer.Option("--list", help="Only what this file names, one a line, below the folder.")
    ] = None,
    jobs: Annotated[str, typer.Option("--jobs", "-j", help="Recordings at a time: a number, or auto.")] = "auto",
    model: Annotated[str, typer.Option(help="Name of a model, or path of a .safetensors checkpoint.")] = "avse",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    no_video: Annotated[bool, typer.Option("--no-video", help="Ignore the pictures; use the sound alone.")] = False,
    speaker: Annotated[
        str, typer.Option(help="Whose voice: active (goes best with the sound), largest, left, right.")
    ] = "active",
    strength: Annotated[
        float,
        typer.Option(min=0, max=1, help="0 changes nothing, 1 keeps the voice alone; 0.9 keeps the rest 20 dB lower."),
    ] = 1.0,
    loudness: Annotated[str, typer.Option(help="Bring the outputs to so many LUFS, such as -16; or keep.")] = "keep",
    audio_track: Annotated[int, typer.Option(help="Which of several sound tracks, counted from 1.")] = 1,
    max_seconds: Annotated[float, typer.Option(help="Refuse longer recordings.")] = ORDINARY.max_seconds,
    max_megabytes: Annotated[float, typer.Option(help="Refuse larger files.")] = ORDINARY.max_megabytes,
    reference_dir: Annotated[
        Path | None, typer.Option(help="The same voices recorded clean, in the same tree: scores for each.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of results.jsonl, summary.json and report.html; OUTPUT by default.")
    ] = None,
    engine: Annotated[Engines, typer.Option(help="local: processes here. ray: a cluster.")] = Engines["local"],
    address: Annotated[str, typer.Option(help="Of the Ray cluster: auto, HOST:6379, or local.")] = "auto",
    gpus_per_job: Annotated[
        float | None, typer.Option(min=0, help="Share of a GPU for each job on a cluster; 0.25 if it has any.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Redo what is done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done, and do nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say what was done as JSON.")] = False,
) -> None:
    """Enhance every recording of a folder into a tree like it. The same command goes on where it was stopped.

    What is done is skipped. A recording that fails is listed and stops nothing; the exit code is then 1.

    Example:
    avse batch recordings/ -o cleaned/
    avse batch recordings/ -o cleaned/ --suffix keep --glob '*.mp4' --jobs 2
    avse batch s3://bucket/talks -o s3://bucket/cleaned --results log/ --engine ray
    """
    from avse import batch as library

    folder, listed = (".", Path(recordings[1:])) if recordings.startswith("@") else (recordings, listed)
    if engine is Engines.ray:  # other machines stand in other folders
        folder, output = map(_everywhere, (folder, output))
        model = _everywhere(model) if model.endswith(".safetensors") else model
    items = library.find(folder, output, suffix=suffix, pattern=pattern, recursive=recursive, listed=listed)
    options = {
        "use_video": not no_video, "speaker": speaker, "strength": strength, "loudness_lufs": lufs(loudness),
        "audio_track": audio_track,
    }  # fmt: skip
    limits = {"limits": Limits(max_seconds, max_megabytes)}
    references = _everywhere(str(reference_dir)) if reference_dir else None
    job = library.EnhanceJob(model, device, options | limits, references)
    about = {"model": model, "device": device, "engine": engine.value, "suffix": suffix, "options": options}
    with ExitStack() as stack:
        count = _number(jobs)
        run_many: Engine = library.run_many
        if engine is Engines.ray and not dry_run:
            run_many, count = _cluster(stack, address, gpus_per_job, count)
        settings = library.Settings(
            output, _results(results, output), count or library.num_cores(), force, reference_dir is not None, run_many,
            about,
        )  # fmt: skip
        if dry_run:
            _show_plan(items, settings, as_json)
            return
        summary = _run(job, items, settings, quiet)
    if as_json:
        from avse.files import to_json

        typer.echo(to_json(summary))
    elif not quiet:
        typer.echo(_in_words(summary, settings))
    raise typer.Exit(1 if summary["failed"] else 0)


def _run(job: EnhanceJob, items: list[Item], settings: Settings, quiet: bool) -> dict[str, Any]:
    """Run the batch under its bars; a line on standard error for every failure."""
    from avse import batch as library
    from avse.errors import printable

    with bars(quiet, len(items)) as shown:

        def on_progress(worker: int, item: Item, stage: str, done: float, total: float) -> None:
            shown.working(worker, printable(item.name), stage, done, total)

        def on_row(row: Mapping[str, Any]) -> None:
            shown.ended(with_work=row["attempts"] > 0)
            if row["status"] == "failed":
                typer.echo(f"avse: {row['error']}\n      {row['hint']}", err=True)

        return library.run(job, items, settings, on_progress, on_row)


def _cluster(stack: ExitStack, address: str, share: float | None, count: int | None) -> tuple[Engine, int]:
    """The engine of a cluster, connected until the stack ends, and how many workers it is to have."""
    from avse import batch_ray

    stack.enter_context(batch_ray.connected(address))
    num_gpus = batch_ray.gpu_share() if share is None else share
    return functools.partial(batch_ray.run_many, num_gpus=num_gpus), count or batch_ray.capacity(num_gpus)


def _show_plan(items: list[Item], settings: Settings, as_json: bool) -> None:
    from avse import batch as library
    from avse.files import to_json

    state = library.states(items, settings, library.Journal(settings.results).last())
    rows = [{"source": item.source, "output": item.output, "state": state[item.name]} for item in items]
    for row in rows:
        typer.echo(to_json(row) if as_json else f"{row['state']}  {row['source']} -> {row['output']}")


def _results(results: Path | None, output: str) -> Path:
    """Where the results belong. UsageError if they have no local folder."""
    from avse.batch import storage
    from avse.errors import UsageError

    if results is None and storage.is_url(output):
        raise UsageError("Lines cannot be added to a file behind a URL.", "Name a local folder for them: --results DIR")
    return results or Path(output)


def _number(jobs: str) -> int | None:
    """How many jobs were asked for, None for auto."""
    from avse.errors import UsageError

    if jobs == "auto":
        return None
    if not jobs.isdecimal() or int(jobs) == 0:
        raise UsageError(f"--jobs {jobs} is no number of jobs.", "Give a number from 1, or auto.")
    return int(jobs)


def _everywhere(place: str) -> str:
    """A path as other machines understand it; URLs as they are."""
    return os.path.abspath(place) if os.path.exists(place) or ("/" in place and "://" not in place) else place


def _in_words(summary: Mapping[str, Any], settings: Settings) -> str:
    counts = ", ".join(f"{summary[status]} {status}" for status in ("done", "skipped", "failed") if summary[status])
    speed = f"; {summary['times_real_time']:.1f} times real time" if summary["done"] else ""
    took = f"{summary['elapsed_seconds']:.1f} s for {summary['recording_seconds']:.1f} s of recordings{speed}"
    return f"{settings.output}: {counts} ({took})\nReport: {settings.results / 'report.html'}"
