"""Options that several commands share, so that they are the same everywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from avse.errors import UsageError

DEVICES = ("auto", "cpu", "cuda")


def complete(*choices: str) -> Callable[[str], list[str]]:
    """Return the completion of an option: the choices that begin with the typed text."""

    def matching(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return matching


def complete_model(incomplete: str) -> list[str]:
    """Return the shipped models whose names begin with the typed text."""
    from avse.weights.pretrained import names

    return [name for name in names() if name.startswith(incomplete)]


Model = Annotated[
    str,
    typer.Option(
        metavar="NAME|PATH",
        autocompletion=complete_model,
        help="Model name, .safetensors checkpoint, or hf://OWNER/NAME.",
    ),
]
Device = Annotated[
    str, typer.Option(metavar="|".join(DEVICES), autocompletion=complete(*DEVICES), help="Device for the network.")
]
NoVideo = Annotated[bool, typer.Option("--no-video", help="Ignore the video; use the audio alone.")]
Strength = Annotated[
    float,
    typer.Option(min=0, max=1, help="Amount of enhancement: 0 changes nothing, 0.9 keeps the background 20 dB lower."),
]
Loudness = Annotated[str, typer.Option(metavar="LUFS|keep", help="Normalise the output loudness, e.g. to -16 LUFS.")]
AudioTrack = Annotated[
    int | None, typer.Option(help="Audio track to use, counted from 1; default: the one flagged as default.")
]
MaxSeconds = Annotated[float, typer.Option(help="Refuse longer recordings.")]
MaxMegabytes = Annotated[float, typer.Option(help="Refuse larger files or streams.")]

Bitrate = Annotated[
    float | None, typer.Option(help="Bit rate of a lossy output in kbit/s; default: suitable for speech.")
]
KeepTracks = Annotated[bool, typer.Option("--keep-tracks", help="Copy the other audio tracks into a video output.")]

Jobs = Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Number of processes; default: one per core.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only errors, and warnings about losses in the output.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]


def lufs(text: str) -> float | None:
    """Parse ``--loudness``; None keeps the level."""
    if text == "keep":
        return None
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--loudness {text} is not a number.", "Use LUFS, e.g. --loudness -16, or keep.") from None


def output_suffix(text: str | None) -> str | None:
    """Parse ``--suffix``; the result has a dot, or is None without the option. UsageError for an unknown type."""
    from avse.io.formats import AUDIO_OUTPUTS, VIDEO_OUTPUTS

    if text is None:
        return None
    suffix = f".{text.lower().removeprefix('.')}"
    if suffix not in AUDIO_OUTPUTS | VIDEO_OUTPUTS:
        known = ", ".join(sorted(AUDIO_OUTPUTS | VIDEO_OUTPUTS))
        raise UsageError(f"--suffix {text} cannot be written.", f"Use one of: {known}")
    return suffix
