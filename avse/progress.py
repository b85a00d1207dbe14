"""How work that takes long tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, float, float], None]
"""Takes the stage that the work is in, how much of it is done, and how much there is."""


def silent(stage: str, done: float, total: float) -> None:
    """A `Report` for where nobody listens."""
