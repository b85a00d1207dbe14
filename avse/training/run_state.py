"""Read ``last.pt``, from which a run goes on, whatever has become of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avse.errors import UsageError, one_line, printable
from avse.io.folders import check_own_file

GROUPS = ("net", "average", "optimiser")
HINT = "Restore the file from a backup, or move it away to start the run again."


def read_state(path: Path) -> dict[str, Any]:
    """Read the state of a run, without running any code in it. UsageError if it is damaged, or of another kind."""
    check_own_file(path)
    with refusing_damage(path):
        state = torch.load(path, map_location="cpu", weights_only=True)
        if problem := _problem_of(state):
            raise ValueError(problem)
    return dict(state)


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Turn any error into the UsageError that names the file; unpickling damaged bytes may raise anything."""
    try:
        yield
    except Exception as error:
        reason = error.message if isinstance(error, UsageError) else one_line(error)[:200]
        raise UsageError(f"{path} cannot be read: {printable(reason)}", HINT) from error


def check_moments(state: Mapping[Tensor, Mapping[str, Any]]) -> None:
    """Raise ValueError for moments of an optimiser that have not the shape of their weights."""
    for weights, moments in state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != weights.shape:
                raise ValueError(f"{name} has the shape {list(value.shape)}, the weights {list(weights.shape)}")


def _problem_of(state: Any) -> str:
    """Say what is wrong with the state of a run; nothing if all is well."""
    if not isinstance(state, Mapping) or not all(isinstance(state.get(name), Mapping) for name in GROUPS):
        return "it is not the state of a run"
    step, best, start = state.get("step"), state.get("best"), state.get("start")
    if type(step) is not int or step < 0 or type(best) is not float or math.isnan(best):
        return "its step or best score is invalid"
    if not (start is None or isinstance(start, str)) or not isinstance(state.get("settings", {}), Mapping):
        return "its settings are invalid"
    for name, value in state["net"].items():
        if not isinstance(value, Tensor) or not bool(torch.isfinite(value).all()):
            return f"the weights {name} are not finite"
    return ""
