"""``avse evaluate``: scores on a folder of mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .listing import report_passed_over
from .options import Device, Jobs, Json, Quiet
from .progress import progress
from .tables import write_table

if TYPE_CHECKING:
    from avse.evaluation.corpora.corpus import Found
    from avse.evaluation.rows import MeanScore, Row, Summary

Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", metavar="METHOD", help="System to score; may be repeated. Default: avse."),
]
Subsets = Annotated[
    list[str] | None,
    typer.Option(metavar="SUBSET", help="Only this subset; may be repeated. Default: all except training subsets."),
]


def evaluate(
    folder: Annotated[Path, typer.Argument(help="Folder of mixtures; its layout is detected.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for results, estimates and report.")],
    method: Methods = None,
    layout: Annotated[str | None, typer.Option(metavar="LAYOUT", help="Layout of the folder, if not detected.")] = None,
    videos: Annotated[Path | None, typer.Option(help="VoxCeleb2's videos, if the mixtures are audio only.")] = None,
    subset: Subsets = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items of each subset.")] = None,
    jobs: Jobs = None,
    device: Device = "auto",
    keep_estimates: Annotated[bool, typer.Option(help="Keep the enhanced audio for the report.")] = True,
    dnsmos: Annotated[bool, typer.Option("--dnsmos", help="Also compute DNSMOS, which needs no reference.")] = False,
    report: Annotated[bool, typer.Option(help="Write report.html.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the confidence intervals.")] = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Discard existing results.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score systems on a folder of mixtures.

    The scores are PESQ, STOI, ESTOI and SI-SDR, and their improvement over the mixture.

    METHOD is a model name (avse models list) or PATH.safetensors; add :no-video to ignore the video. Or it is
    external:"COMMAND {in} {out}", where {in} is the video with the mixture as audio, {wav} the mixture and {out} the
    WAV file to write. Put NAME= in front to name it. The unprocessed mixture is always scored, as "mixed".

    LAYOUT is one of avse (made by avse mix), muse (also USEV, ClearVoice), look2hear (CTCNet, RTFS-Net, IIANet,
    Dolphin), av-sepformer, visualvoice, avsec (1 to 3), avsec4, or pairs (noisy/ and clean/; mix/, s1/; video/
    may show the targets).

    Run the command again to resume, or to add systems. Tables and report show only the systems of the latest command;
    name earlier ones again to include them. No score is computed twice, unless the item's files have changed. Items
    that cannot be scored are listed with the reason and set the exit code to 1.

    Example:
    avse evaluate mixtures/ -o results/
    avse evaluate mixtures/ -o results/ -m avse -m avse:no-video -m rnnoise=external:"denoise {wav} {out}" --limit 20
    """
    from avse.evaluation.evaluate import Request, find
    from avse.evaluation.evaluate import evaluate as run
    from avse.io.jsonl import to_json

    request = Request(
        folder, output, method or ["avse"], layout, videos, subset or [], limit, device, keep_estimates, dnsmos, seed,
    )  # fmt: skip
    found = find(request)
    if not quiet:
        typer.echo(f"{folder}: {_in_words(found)}", err=True)
    report_passed_over(folder, found.passed_over)
    with progress(quiet) as show:
        evaluation = run(request, jobs, force, show, found)
        if report:
            from avse.reports.evaluation import evaluation_report

            evaluation_report(evaluation.rows, evaluation.summary, output / "report.html")
    if evaluation.num_changed and not quiet:
        num = evaluation.num_changed
        what = "1 item has changed and was" if num == 1 else f"{num} items have changed and were"
        typer.echo(f"{what} scored again", err=True)
    if as_json:
        typer.echo(to_json(evaluation.summary))
    elif not quiet:
        _show(evaluation.summary)
        typer.echo(f"{output / ('report.html' if report else 'scores.csv')}")
    _report_failures(evaluation.rows)
    raise typer.Exit(1 if evaluation.num_failed else 0)


def _in_words(found: Found) -> str:
    blind = sum(item.video is None for item in found.items)
    without = f"; {blind} without video: audio alone is used" if blind else ""
    return f"layout {found.layout}, {len(found.items)} items{without}"


def _report_failures(rows: Sequence[Row]) -> None:
    for row in rows:
        if row["status"] != "ok":
            name = "/".join(filter(None, (row["subset"], row["item"])))
            typer.echo(f"avse: {row['method']} on {name}: {row['reason']}", err=True)


def _show(summary: Summary) -> None:
    """Print means of each subset and system with the gain over the mixture, and how many items were made worse."""
    from avse.evaluation.metrics import METRICS

    names = [key for key in METRICS if any(key in line["mean"] for line in summary["scores"])]
    rows = []
    for line in summary["scores"]:
        cells = [_cell(line["mean"][name], line["improvement"].get(name)) for name in names]
        count = f"{line['n']}" + (f" ({line['failed']} failed)" if line["failed"] else "")
        worse = "-" if line["made_worse"] is None else f"{100 * line['made_worse']:.0f} %"
        rows.append([line["subset"] or "all", line["method"], count, *cells, worse])
    write_table(rows, ["subset", "method", "items", *(METRICS[name].heading for name in names), "made worse"])


def _cell(mean: MeanScore, gain: MeanScore | None) -> str:
    if not mean["n"]:
        return "-"
    return f"{mean['mean']:.3f}" + (f" ({gain['mean']:+.3f})" if gain and gain["n"] else "")
