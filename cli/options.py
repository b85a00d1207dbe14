"""Options that several commands share, so that they are the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

from avse.errors import UsageError

Model = Annotated[str, typer.Option(help="Name of a model, or path of a .safetensors checkpoint.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
NoVideo = Annotated[bool, typer.Option("--no-video", help="Ignore the picture; use the sound alone.")]
Strength = Annotated[
    float,
    typer.Option(min=0, max=1, help="0 changes nothing, 1 keeps the voice alone; 0.9 keeps the rest 20 dB lower."),
]
Loudness = Annotated[str, typer.Option(help="Bring the output to so many LUFS, such as -16; or keep.")]
AudioTrack = Annotated[int, typer.Option(help="Which of several sound tracks, counted from 1.")]
MaxSeconds = Annotated[float, typer.Option(help="Refuse a longer recording.")]
MaxMegabytes = Annotated[float, typer.Option(help="Refuse a larger file or stream.")]

Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; one per core by default.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]


def lufs(text: str) -> float | None:
    """What ``--loudness`` asks for: None to keep the level."""
    if text == "keep":
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"A loudness of {text!r} makes no sense.", "Give LUFS, such as -16, or keep.") from None
