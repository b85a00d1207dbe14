"""``avse doctor``: check the installation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from .options import Json
from .tables import write_table


def doctor(
    as_json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print problems only.")] = False,
) -> None:
    """Check this installation and show how to fix it.

    Checks Python, torch, torchaudio, GPU, ffmpeg, face detector, models, memory, disk and optional packages. Exit code
    3 if something that avse needs is missing, else 0.

    Example: avse doctor
    avse doctor --json > for-the-bug-report.json
    """
    from avse.doctor import ABSENT, OK, examine, is_fit, versions
    from avse.io import jsonl

    findings = examine()
    if as_json:
        values = {"fit": is_fit(findings), "versions": versions(), "findings": [asdict(found) for found in findings]}
        typer.echo(jsonl.to_json(values))
    else:
        shown = [found for found in findings if not (quiet and found.state in (OK, ABSENT))]
        write_table([(found.state, found.name, found.detail) for found in shown])
        for found in shown:
            if found.hint:
                typer.echo(f"{found.name}: {found.hint}")
    raise typer.Exit(0 if is_fit(findings) else 3)
