"""Exported networks: the same mask as torch, at lengths and batch sizes that were not traced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from small_world import stirred, tiny
from typer.testing import CliRunner

from avse.models.fusion import FUSIONS
from avse.models.net import SpeechNet
from avse.weights.checkpoint import Checkpoint, save_checkpoint
from avse.weights.export import INPUTS, MaskNet, export_program
from avse_cli.main import app


def given(net: SpeechNet, batch: int, frames: int) -> list[torch.Tensor]:
    torch.manual_seed(frames)
    planes = [torch.randn(batch, 321, 2 * frames) for _ in range(2)]
    lips = [torch.randn(batch, frames, 44, 44), (torch.rand(batch, frames) > 0.3).float()]
    return planes + (lips if net.lips is not None else [])


def test_onnx_gives_the_mask_of_torch_at_any_length(tmp_path: Path) -> None:
    net = stirred(tiny(imputer="blended", regulariser="multiply", attention_heads=2)).eval()
    save_checkpoint(tmp_path / "tiny.safetensors", net, {"name": "tiny"})
    path = tmp_path / "tiny.onnx"
    done = CliRunner().invoke(app, ["models", "export", str(tmp_path / "tiny.safetensors"), "-o", str(path)])
    assert done.exit_code == 0, done.output
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch, frames in [(1, 23), (3, 2)]:
        tensors = given(net, batch, frames)
        (mask,) = session.run(None, {name: x.numpy() for name, x in zip(INPUTS, tensors, strict=False)})
        with torch.no_grad():
            expected = MaskNet(net)(*tensors).numpy()
        np.testing.assert_allclose(mask, expected, atol=1e-5)
        assert expected.std() > 0
    (prop,) = onnx.load(str(path), load_external_data=False).metadata_props
    assert json.loads(prop.value)["model"]["fusion"] == "mmtm"


@pytest.mark.parametrize("fusion", FUSIONS)
def test_program_of_every_fusion_gives_the_mask_of_torch_for_any_batch(fusion: str) -> None:
    net = stirred(tiny(fusion)).eval()
    program = export_program(Checkpoint(net, {}, "")).module()
    for batch, frames in [(1, 5), (3, 7)]:
        tensors = given(net, batch, frames)
        with torch.no_grad():
            torch.testing.assert_close(program(*tensors), MaskNet(net)(*tensors), atol=1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore::UserWarning:torch")  # torch's own writer
def test_program_of_a_network_that_only_listens_is_saved_and_loaded(tmp_path: Path) -> None:
    net = stirred(tiny("none")).eval()
    torch.export.save(export_program(Checkpoint(net, {}, "")), tmp_path / "tiny.pt2")
    loaded, tensors = torch.export.load(tmp_path / "tiny.pt2").module(), given(net, 2, 7)
    with torch.no_grad():
        torch.testing.assert_close(loaded(*tensors), MaskNet(net)(*tensors), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["net.pt", "net"])
def test_other_files_are_refused_before_any_work(tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["models", "export", "avse-small", "-o", str(tmp_path / name)])
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []
