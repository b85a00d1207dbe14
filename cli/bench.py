"""``avse bench``: the time of each stage of ``avse enhance``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from .options import Device, Json, Model
from .progress import progress
from .tables import write_table

HEADER = ("stage", "s per s", "share of total", "minimum", "times", "bound")


def bench(
    recording: Annotated[
        Path | None, typer.Argument(help="Video or audio file; default: the first of avse samples.")
    ] = None,
    model: Model = "avse",
    device: Device = "auto",
    seconds: Annotated[float, typer.Option(help="Use only the first seconds of the recording.")] = 20.0,
    repeat: Annotated[int, typer.Option(min=1, help="Number of runs; the fastest counts.")] = 3,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the real-time factor and errors.")] = False,
    as_json: Json = False,
) -> None:
    """Measure how long each stage of avse enhance takes.

    "s per s" is the processing time in seconds per second of recording: below 1 is faster than real time. "share of
    total" is the share of the total time. "minimum" is the theoretical minimum on this machine, "times" the ratio of
    the time to it, and "bound" what determines it. The minimum of a network is its multiply-accumulates (MAC) at the
    speed of a matrix product; that of decoding is the time of ffmpeg alone.

    Close other programs first. Set OMP_NUM_THREADS to limit the number of threads.

    Example:
    avse bench
    avse bench interview.mp4 --seconds 60 --repeat 1
    avse bench interview.mp4 --device cuda --json > speed.json
    """
    from avse.io import jsonl
    from avse.profiling.benchmark import bench as run

    with TemporaryDirectory(prefix="avse-bench-") as scratch, progress(quiet) as show:
        given = recording or _sample(Path(scratch))
        found = run(given, model=model, device=device, repeat=repeat, seconds=seconds, on_progress=show).as_dict()
    found["recording"] = str(recording or given.name)
    if as_json:
        typer.echo(jsonl.to_json(found))
    elif quiet:
        typer.echo(f"{found['real_time_factor']:.3f}")
    else:
        write_table([*map(_row, found["stages"]), *_sums(found)], HEADER)
        typer.echo("\n".join(["", *_facts(found)]))


def _sample(folder: Path) -> Path:
    from avse.data.synthetic.clips import make_samples

    return make_samples(folder)[0]


def _row(stage: dict[str, Any]) -> list[str]:
    minimum, taken = stage["minimum_per_second"], stage["seconds_per_second"]
    return [
        stage["name"], f"{taken:.3f}", f"{stage['share_of_whole']:.0%}",
        "-" if minimum is None else f"{minimum:.3f}", f"{taken / minimum:.1f}" if minimum else "-", stage["bound"],
    ]  # fmt: skip


def _sums(found: dict[str, Any]) -> list[list[str]]:
    """Return rows for the sum of all stages and for the total, with the sum of all minima."""
    whole, minimum, duration = found["whole"]["seconds"], found["minimum_seconds"], found["duration_seconds"]
    sums = {"all stages": found["stages_seconds"], "avse enhance": whole}
    return [
        [
            name, f"{seconds / duration:.3f}", f"{seconds / whole:.0%}", f"{minimum / duration:.3f}",
            f"{seconds / minimum:.1f}", "sum of all minima",
        ]
        for name, seconds in sums.items()
    ]  # fmt: skip


def _facts(found: dict[str, Any]) -> list[str]:
    """Return the other measurements as sentences."""
    from avse.errors import printable

    size = "x".join(map(str, found["video_size"])) if found["video_size"] else "no video"
    start, factor = found["start"], found["real_time_factor"]
    return [
        f"{printable(found['recording'])}: {found['duration_seconds']:.1f} s, {size}, faces: {found['num_faces']}; "
        f"model {found['model']} on {found['device']}, {found['num_threads']} threads",
        f"real-time factor {factor:.3f}: {1 / factor:.1f} times real time; the network alone "
        f"{found['net_times_real_time']:.1f} times",
        f"peak memory {found['whole']['peak_megabytes']:.0f} MB, without ffmpeg",
        f"start-up {start['avse_seconds']:.1f} s: torch {start['torch_seconds']:.1f} s, avse and its network "
        f"{start['beyond_torch_seconds']:.1f} s",
        f"matrix products: {found['macs_per_second'] / 1e9:.0f} GMAC/s, float32",
    ]
