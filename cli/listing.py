"""Report the files of a folder that a command passed over."""

from __future__ import annotations

from collections.abc import Mapping

import typer


def tell_passed_over(folder: object, passed_over: Mapping[str, str], quiet: bool) -> None:
    """Say in one line on standard error how many files were passed over, and why; log each of them."""
    from avse.errors import printable
    from avse.io.listing import describe_passed_over, log_passed_over

    log_passed_over(folder, passed_over)
    if passed_over and not quiet:
        typer.echo(printable(f"{folder}: {describe_passed_over(passed_over)}"), err=True)
