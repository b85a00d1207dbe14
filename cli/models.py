"""``avse models``: list, check and convert models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from .app import App
from .options import Json, Quiet, complete_model
from .tables import write_table

models = App(
    name="models",
    cls=TyperGroup,
    help="List, check, convert, prune, average, export and push models.",
    rich_markup_mode=None,
)

Number = TypeVar("Number", int, float)

Name = Annotated[
    str, typer.Argument(help="Model name, .safetensors checkpoint, or hf://OWNER/NAME.", autocompletion=complete_model)
]


@models.callback(invoke_without_command=True)
def default(ctx: typer.Context, as_json: Json = False) -> None:
    """List, show, verify, convert, prune, average, export and push models. Without a command: list."""
    if ctx.invoked_subcommand is None:
        list_models(as_json)


@models.command("list")
def list_models(as_json: Json = False) -> None:
    """List the installed models with size and scores.

    Example: avse models list
    """
    from avse.io import jsonl
    from avse.weights import pretrained
    from avse.weights.metadata import read_metadata

    headers = {name: read_metadata(pretrained.find(name)) for name in pretrained.names()}
    if as_json:
        typer.echo(jsonl.to_json({name: _facts(header) for name, header in headers.items()}))
        return
    rows = [
        (name, f"{h.num_bytes / 1e6:.1f} MB", f"{h.num_parameters / 1e6:.1f} M", h.fusion, pretrained.scores(name))
        for name, h in headers.items()
    ]
    write_table(rows, ("name", "size", "parameters", "fusion", "gain"))


@models.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a model card: training data, licence, weaknesses. For a checkpoint, show its metadata.

    Example: avse models show avse
    avse models show runs/mmtm/best.safetensors --json
    """
    from avse.io import jsonl
    from avse.weights import pretrained
    from avse.weights.metadata import read_metadata

    path = pretrained.find(name)
    header = read_metadata(path)
    if as_json:
        typer.echo(jsonl.to_json(_facts(header)))
        return
    if (card := pretrained.card_path(path)).is_file():
        typer.echo(card.read_text(encoding="utf-8"))
    else:
        write_table([(key, jsonl.to_text(value)) for key, value in header.about.items()])


@models.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="Model name or checkpoint; default: all shipped models.")] = None,
) -> None:
    """Verify that models are complete and unchanged (SHA-256).

    Example: avse models verify
    """
    from avse.weights import pretrained

    for each in [name] if name else pretrained.names():
        typer.echo(f"{pretrained.verify(each)}: ok")


@models.command()
def convert(
    trained: Annotated[Path, typer.Argument(help="Checkpoint of a run, such as runs/mmtm/best.safetensors.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.safetensors).")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    data: Annotated[str, typer.Option(help="Training data.")],
    licence: Annotated[str, typer.Option(help="What the licences of the training data allow.")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the output.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Check everything without writing.")] = False,
    quiet: Quiet = False,
) -> None:
    """Convert a training checkpoint to a model for inference.

    The model is stored in half precision, with data and licence in its metadata.

    Example: avse models convert runs/mmtm/best.safetensors -o mine.safetensors --name mine --data "VoxCeleb2 dev" --licence "CC BY 4.0"
    avse enhance input.mp4 -o clean.wav --model mine.safetensors
    """  # noqa: E501
    from avse.io import atomic
    from avse.weights import pretrained
    from avse.weights.checkpoint import convert as write

    _check_checkpoint_output(output, force, [trained])
    path = pretrained.verify(str(trained))
    if not dry_run:
        with atomic.never_replacing([output], force):
            write(path, output, name, data, licence)
    if not quiet:
        typer.echo(f"{_sized(path)} -> {'nothing was written' if dry_run else _sized(output)}")


@models.command()
def prune(
    trained: Annotated[Path, typer.Argument(help="Checkpoint of a run, or a model file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.safetensors).")],
    audio_channels: Annotated[
        str, typer.Option(metavar="NUMBER,...", help="Channels of the audio stages, such as 8,16,24,32,48,64.")
    ],
    lip_width: Annotated[int, typer.Option(help="Channels of the lip stream's first stage.", min=1)],
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the output.")] = False,
    quiet: Quiet = False,
) -> None:
    """Prune a trained MMTM network, as the start of a smaller one.

    The most important channels are kept; train the result further.

    Example: avse models prune runs/mmtm/best.safetensors -o start.safetensors --audio-channels 8,16,24,32,48,64 --lip-width 8
    avse train --config configs/small.yaml --start-from start.safetensors --data cache/faces --val-speakers id1,id2 --run runs/small
    """  # noqa: E501
    from avse.io import atomic
    from avse.training.pruning import prune_channels
    from avse.weights import pretrained
    from avse.weights.checkpoint import load_checkpoint, save_checkpoint
    from avse.weights.metadata import Provenance

    path = pretrained.find(str(trained))
    _check_checkpoint_output(output, force, [path])
    channels = _numbers("--audio-channels", audio_channels, int, "8,16,24,32,48,64")
    checkpoint = load_checkpoint(path)
    with atomic.never_replacing([output], force):
        save_checkpoint(
            output, prune_channels(checkpoint.net, channels, lip_width), Provenance.of_pruned(checkpoint.sha256)
        )
    if not quiet:
        typer.echo(f"{_sized(path)} -> {_sized(output)}")


@models.command()
def average(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Model names or checkpoints.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.safetensors).")],
    shares: Annotated[
        str | None, typer.Option(metavar="NUMBER,...", help="Weight of each, e.g. 0.4,0.6; default: equal.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the output.")] = False,
    quiet: Quiet = False,
) -> None:
    """Average the weights of models with a common starting point.

    Suitable models are a run and its starting point, or two runs with the same start. The metadata of the result
    contains the SHA-256 and share of each model, the settings of the first, and the validation speakers of all.

    Example: avse models average runs/a/best.safetensors runs/b/best.safetensors -o average.safetensors --shares 0.4,0.6
    """
    from avse.io import atomic
    from avse.training.weight_averaging import average_weights
    from avse.weights import pretrained
    from avse.weights.checkpoint import load_checkpoint, save_checkpoint
    from avse.weights.metadata import Provenance

    paths = [pretrained.find(name) for name in names]
    _check_checkpoint_output(output, force, paths)
    weights = _numbers("--shares", shares, float, "0.4,0.6") if shares else [1 / len(paths)] * len(paths)
    found = [load_checkpoint(path) for path in paths]
    parts = {one.sha256: share for one, share in zip(found, weights, strict=False)}
    provenance = Provenance.of_mean([one.provenance for one in found], parts)
    with atomic.never_replacing([output], force):
        save_checkpoint(output, average_weights([one.net for one in found], weights), provenance)
    if not quiet:
        typer.echo(f"{len(paths)} models -> {_sized(output)}")


models.command("narrow", hidden=True)(prune)  # former names
models.command("mean", hidden=True)(average)


def _check_checkpoint_output(output: Path, force: bool, inputs: Sequence[Path]) -> None:
    """Raise UsageError for a name that no model can have, or that cannot be written."""
    from avse.errors import UsageError
    from avse.io import atomic

    if output.suffix != ".safetensors":
        raise UsageError(f"{output} is not a .safetensors file.", "Use a name such as mine.safetensors.")
    atomic.check_output(output, force, inputs)


def _numbers(option: str, words: str, kind: Callable[[str], Number], example: str) -> list[Number]:
    """Parse numbers that are separated by commas."""
    from avse.errors import UsageError

    try:
        return [kind(word) for word in words.split(",")]
    except ValueError:
        raise UsageError(f"{option} {words} is not a list of numbers.", f"Use e.g. {option} {example}.") from None


def _sized(path: Path) -> str:
    return f"{path}  ({path.stat().st_size / 1e6:.1f} MB)"


def _facts(header: Any) -> dict[str, Any]:
    return {
        "path": header.path,
        "num_bytes": header.num_bytes,
        "num_parameters": header.num_parameters,
        "about": dict(header.about),
    }


@models.command()
def export(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="ONNX file to write, such as net.onnx.")],
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite the output.")] = False,
    quiet: Quiet = False,
) -> None:
    """Export a model to ONNX, for onnxruntime without torch. Batch and time axes are dynamic.

    Example: avse models export avse -o avse.onnx
    """
    from avse.errors import UsageError
    from avse.io.atomic import check_output
    from avse.weights.export import export_onnx
    from avse.weights.pretrained import load_model

    if output.suffix != ".onnx":
        raise UsageError(f"{output} is not an .onnx file.", "Use a name such as net.onnx.")
    check_output(output, force)
    export_onnx(load_model(name, "cpu"), output)
    if not quiet:
        typer.echo(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


@models.command()
def push(
    name: Name,
    target: Annotated[str, typer.Argument(metavar="hf://OWNER/NAME", help="Repository on the Hugging Face Hub.")],
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Check everything without uploading.")] = False,
    quiet: Quiet = False,
) -> None:
    """Upload a model and its card to the Hugging Face Hub. A new repository is private.

    The card is the Markdown file beside the weights: mine.md for mine.safetensors. Log in first: hf auth login.

    Example: avse models push mine.safetensors hf://me/mine
    avse enhance input.mp4 -o clean.wav --model hf://me/mine
    """
    from avse.errors import UsageError
    from avse.weights import hub, pretrained

    hub.parse_hub_name(target)
    path = pretrained.verify(name)
    card = pretrained.card_path(path)
    if not card.is_file():
        raise UsageError(
            f"There is no model card {card}.",
            "Write one: the training data, the licence and the weaknesses of the model.",
        )
    address = "nothing was uploaded" if dry_run else hub.push(path, card, target, public)
    if not quiet:
        typer.echo(f"{_sized(path)} -> {address}")
