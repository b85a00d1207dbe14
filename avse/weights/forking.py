"""Keep networks usable in processes forked from one that has used them.

Such a process has none of its parent's threads, and OpenMP's pool would wait for them forever. So it computes on one
thread, as the workers of `torch.utils.data.DataLoader` do.
"""

from __future__ import annotations

import os

import torch

from avse.errors import UsageError

_is_forked = False


def _after_fork() -> None:
    global _is_forked
    _is_forked = True
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_after_fork)


def check_fork(device: torch.device) -> None:
    """Raise UsageError for a GPU in a process that was forked, where CUDA cannot be used."""
    if _is_forked and device.type == "cuda":
        raise UsageError(
            "A GPU cannot be used in a forked process.",
            'Start the process with multiprocessing.get_context("spawn"), or compute on the CPU.',
        )
