"""Networks in processes forked from one that has used them: they work or raise an error at once; they never hang."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avse.errors import UsageError
from avse.weights import forking

PROGRAM = """
import multiprocessing, sys
import numpy as np, torch
import avse

torch.set_num_threads(4)
model = avse.load_model(sys.argv[1], "cpu")
waveform = np.random.default_rng(0).standard_normal(16000).astype("f4") * 0.05

def work(queue):
    shown = avse.enhance(sys.argv[2], model=model)
    queue.put((float(np.abs(model.enhance(waveform, 16000)).sum()), shown.num_faces, torch.get_num_threads()))

expected = float(np.abs(model.enhance(waveform, 16000)).sum())
num_faces = avse.enhance(sys.argv[2], model=model).num_faces
context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=work, args=(queue,), daemon=True)
child.start()
found = queue.get(timeout=240)
child.join()
assert abs(found[0] - expected) < 1e-3 * expected and found[1:] == (num_faces, 1), (found, expected, num_faces)
assert torch.get_num_threads() == 4
"""


def test_forked_worker_works(tiny_model: Path, clip: Path) -> None:
    program = [sys.executable, "-W", "ignore", "-c", PROGRAM, tiny_model, clip]
    done = subprocess.run(program, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr


def test_gpu_in_a_forked_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    forking.check_fork(torch.device("cuda"))
    monkeypatch.setattr(forking, "_is_forked", True)
    forking.check_fork(torch.device("cpu"))
    with pytest.raises(UsageError, match="fork"):
        forking.check_fork(torch.device("cuda"))
    assert "spawn" in multiprocessing.get_all_start_methods()
