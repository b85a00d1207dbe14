"""Misuse of the Python interface: an AvseError before the work, never an exception of another library."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import avse
from avse.enhancement.all_speakers import enhance_all
from avse.errors import UsageError
from avse.weights.checkpoint import Checkpoint, load_checkpoint

X = np.full(3200, 0.1, np.float32)
GREY = np.full((5, 64, 64), 90, np.uint8)
OPTIONS: list[dict[str, Any]] = [
    {"strength": "x"}, {"strength": None}, {"strength": float("nan")}, {"strength": [1.0]}, {"loudness_lufs": "loud"},
    {"loudness_lufs": float("inf")}, {"speaker": [1]}, {"speaker": 1.5}, {"speaker": None}, {"audio_track": 1.5},
    {"audio_track": "1"}, {"audio_track": True}, {"model": 3}, {"model": None}, {"limits": 3}, {"on_progress": 3},
    {"output": 3}, {"output": "a\0.wav"}, {"output": io.StringIO()}, {"recording": None}, {"recording": 3},
    {"recording": io.StringIO("text")}, {"recording": "a\0b"}, {"recording": "a" * 300}, {"recording": b"missing"},
    {"use_video": X}, {"force": "no"}, {"with_thumbnail": []}, {"background": X}, {"settings": {}}, {"settings": None},
    {"tracks": 3}, {"tracks": [1]}, {"tracks": "word"}, {"model": X}, {"speaker": "9" * 5000},
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Checkpoint:
    return load_checkpoint(tiny_model)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: re.sub(" at 0x.*>", ">", str(options))[:60])
def test_argument_that_makes_no_sense(options: dict[str, Any], clip: Path, model: Checkpoint) -> None:
    with pytest.raises(UsageError) as caught:
        avse.enhance(**{"recording": clip, "model": model, **options})
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    "options", [{"recording": None}, {"folder": None}, {"limits": 0}, {"audio_track": 1.5}], ids=str
)
def test_all_faces_check_theirs(options: dict[str, Any], clip: Path, model: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        enhance_all(**{"recording": clip, "folder": tmp_path / "out", "model": model, **options})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [None, 3, b"avse", ["avse"]])
def test_model_that_is_no_name(name: Any) -> None:
    with pytest.raises(UsageError):
        avse.load_model(name)


def test_paths_in_any_form_work(clip: Path, tiny_model: Path, tmp_path: Path) -> None:
    found = avse.enhance(str(clip).encode(), str(tmp_path / "a.wav").encode(), model=tiny_model, use_video=False)
    assert (found.input, found.output) == (clip, tmp_path / "a.wav")
    assert avse.load_model(tiny_model, "cpu").enhance(X, 16000).shape == X.shape


@pytest.mark.parametrize(
    "arguments",
    [(None, 16000), ("x", 16000), (X, None), (X, "16k"), (X, 0), (X, 16000, GREY), (X, 16000, GREY, "25"),
     (X, 16000, GREY, float("nan")), (X, 16000, GREY[:, :0], 25), (X, 16000, [GREY[0], GREY[1][:32]], 25)],
)  # fmt: skip
def test_arrays_that_make_no_sense(arguments: tuple[Any, ...], tiny_model: Path) -> None:
    with pytest.raises(UsageError):
        avse.load_model(str(tiny_model), "cpu").enhance(*arguments)
