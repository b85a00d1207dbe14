"""``avse ui``: a local page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avse.io.ffmpeg import DEFAULT_LIMITS, Limits

from .options import AudioTrack, Device, MaxMegabytes, MaxSeconds, Model, Quiet


def ui(
    recording: Annotated[Path | None, typer.Argument(help="Video or audio file to open.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 7860,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS", help="Address to listen on; any other than 127.0.0.1 lets other machines connect."
        ),
    ] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Do not open the browser.")] = False,
    model: Model = "avse",
    device: Device = "auto",
    audio_track: AudioTrack = None,
    max_seconds: MaxSeconds = DEFAULT_LIMITS.max_seconds,
    max_megabytes: MaxMegabytes = DEFAULT_LIMITS.max_megabytes,
    quiet: Quiet = False,
) -> None:
    """Open a local page: choose a face, compare before and after.

    Nothing leaves the machine. Uploads and results are removed when the command ends. Example: avse ui interview.mp4
    """
    from avse.ui.access import LOCAL_HOSTS
    from avse.ui.server import serve, without_brackets

    if without_brackets(host) not in LOCAL_HOSTS:
        warning = f"avse: anyone who can reach this machine at {host} can use the page; it has no password."
        typer.echo(warning, err=True)

    def say(url: str) -> None:
        if not quiet:
            typer.echo(f"{url}  (Ctrl-C to stop)")

    serve(
        recording, model=model, device=device, audio_track=audio_track, host=host, port=port,
        limits=Limits(max_seconds, max_megabytes), open_browser=not no_browser, on_ready=say,
    )  # fmt: skip
