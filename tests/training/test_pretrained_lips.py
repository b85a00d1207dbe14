"""A lip stream that starts from torchvision's ResNet-18: from a config, over the whole path, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_world import tiny, write_cache
from torchvision.models import resnet18

from avse.errors import UsageError
from avse.models.net import SpeechNet
from avse.training.config import TrainConfig, read_config
from avse.training.data import TrainingData
from avse.training.pretrained_lips import load_pretrained_lips
from avse.training.trainer import Trainer


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet18().state_dict(), path)
    return path


def write_config(folder: Path, **model: object) -> Path:
    path = folder / "run.yaml"
    path.write_text(
        "lips_from: resnet18.pth\nbatch_size: 1\nmodel: {" + ", ".join(f"{k}: {v}" for k, v in model.items()) + "}\n"
    )
    return path


def test_a_new_run_starts_its_lips_from_the_file_of_its_config(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(weights.parent)
    config = read_config(write_config(tmp_path, lip_width=64))
    faces = write_cache(tmp_path / "faces", speakers=2, num_frames=20)
    trainer = Trainer(config, TrainingData(faces), tmp_path / "run")
    trainer.close()
    own, stored = trainer.net.module.lips.resnet.state_dict(), torch.load(weights, weights_only=True)
    assert all(torch.equal(value, stored[name]) for name, value in own.items() if name != "conv1.weight")
    assert torch.allclose(own["conv1.weight"].sum(1), stored["conv1.weight"].sum(1), atol=1e-5)  # a constant grey video


def test_the_rest_of_the_net_stays(weights: Path) -> None:
    torch.manual_seed(0)
    net = SpeechNet(tiny(lip_width=64))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    load_pretrained_lips(net, weights)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("lips.resnet.") for name in changed)


@pytest.mark.parametrize("model", [{"lip_width": 16}, {"lip_width": 64, "fusion": "none"}])
def test_another_width_reports_what_is_needed(tmp_path: Path, model: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="width 64") as found:
        read_config(write_config(tmp_path, **model))
    assert "lip_width: 64" in found.value.hint
    assert TrainConfig().lips_from == ""


@pytest.mark.parametrize("kind", ["missing", "text", "empty", "list", "other net", "other width"])
def test_files_that_hold_no_resnet18(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "weights.pth"
    if kind in ("text", "empty"):
        path.write_text("" if kind == "empty" else "no weights")
    elif kind == "list":
        torch.save([1, 2], path)
    elif kind == "other net":
        torch.save({"a": torch.ones(1)}, path)
    elif kind == "other width":
        torch.save({"conv1.weight": torch.ones(32, 3, 7, 7)}, path)
    net = SpeechNet(tiny(lip_width=64))
    with pytest.raises(UsageError, match=r"weights\.pth"):
        load_pretrained_lips(net, path)
