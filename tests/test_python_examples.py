"""The Python of docs/python.md and docs/export.md runs as a reader has it, on what the pages speak of."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch
from command_blocks import ROOT, blocks
from recordings import coloured_noise, si_sdr
from small_world import stirred, tiny

import avse
from avse.data.synthetic.speech import speak
from avse.io import reader
from avse.weights.checkpoint import load_checkpoint, save_checkpoint
from avse.weights.export import INPUTS, MaskNet

PYTHON, EXPORT = ROOT / "docs" / "python.md", ROOT / "docs" / "export.md"


@pytest.fixture(scope="module")
def arrays(clip: Path) -> dict[str, Any]:
    """What the page calls waveform, sample_rate, frames and fps."""
    recording = reader.probe(clip)
    frames = np.stack(list(reader.read_frames(recording)))
    return {"waveform": reader.load_audio(recording)[:, 0], "sample_rate": 16000, "frames": frames, "fps": 25}


@pytest.fixture
def played() -> list[np.ndarray]:
    return []


@pytest.fixture
def names(
    clip: Path,
    tiny_model: Path,
    arrays: dict[str, Any],
    played: list[np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, Any]:
    """What the blocks take from a reader; every model is a small one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("avse.weights.pretrained.find", lambda name: tiny_model)
    recordings = [Path("input.mp4"), Path("other.mp4")]
    for path in recordings:
        shutil.copy(clip, path)
    waveform = np.tile(arrays["waveform"], 3)  # at 48 kHz: as long as the frames at 30 fps, nearly
    source = [(waveform[:30000], arrays["frames"][:16]), (waveform[30000:], arrays["frames"][16:])]
    return {"__name__": "page", "recordings": recordings, **arrays, "source": source, "play": played.append}


def test_blocks_of_the_page_run_one_after_the_other(names: dict[str, Any], played: list[np.ndarray]) -> None:
    num_samples = len(names["waveform"])
    for text in blocks(PYTHON, "python"):
        exec(compile(text, str(PYTHON), "exec"), names)
        Path("clean.wav").unlink(missing_ok=True)
    assert Path("other.clean.wav").is_file()
    assert len(names["clean"]) == num_samples
    assert [voice.shape for voice in names["voices"]] == [(num_samples,)]
    assert sum(map(len, played)) == 3 * num_samples


class Session:
    """The network itself in place of its ONNX file, which tests/weights/test_export.py compares with it."""

    def __init__(self, path: str) -> None:
        assert path == "avse-audio.onnx"
        self.net = MaskNet(load_checkpoint(Path("net.safetensors")).net.eval())

    def run(self, names: None, planes: dict[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            return [self.net(*(torch.from_numpy(planes[name]) for name in INPUTS[:2])).numpy()]


def test_spectra_around_an_exported_network_are_those_of_the_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    save_checkpoint(Path("net.safetensors"), stirred(tiny("none")), {"name": "net"})
    mixture = speak(1.04).waveform + coloured_noise(16640)[:, 0]
    soundfile.write("noisy-16k.wav", mixture, 16000, subtype="FLOAT")
    (text,) = blocks(EXPORT, "python")
    exec(compile(text, str(EXPORT), "exec"), {"__name__": "page"})
    expected, found = avse.load_model("net.safetensors", "cpu").enhance(mixture, 16000), soundfile.read("clean.wav")[0]
    assert si_sdr(expected, found) > si_sdr(expected, mixture) + 8  # `avse enhance` averages masks of two places
