"""Nets by name: the known ones are listed, and random weights never stand in for trained ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small_world import stirred, tiny

from avse.errors import InputError, MissingError, UsageError
from avse.weights import pretrained
from avse.weights.checkpoint import save_checkpoint


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(pretrained, "files", lambda package: folder)
    for name in ("small", "avse"):
        save_checkpoint(folder / f"{name}.safetensors", stirred(tiny()), {"name": name})
    (folder / "avse.md").write_text("A model card.")
    return folder


def test_names_and_paths(shipped: Path) -> None:
    assert pretrained.names() == ["avse", "small"]
    assert pretrained.find("small") == shipped / "small.safetensors"
    assert pretrained.find(str(shipped / "avse.safetensors")) == shipped / "avse.safetensors"


def test_load_by_name_by_path_and_by_default(shipped: Path) -> None:
    assert pretrained.load_model(device="cpu").about["name"] == "avse"
    assert pretrained.load_model("small", "cpu").about["name"] == "small"
    by_path = pretrained.load_model(str(shipped / "small.safetensors"), "cpu")
    assert by_path.sha256 == pretrained.load_model("small", "cpu").sha256
    assert not by_path.net.training


def test_the_default_uses_the_audio_only_network_without_video(shipped: Path) -> None:
    default, small = pretrained.load_model("avse", "cpu"), pretrained.load_model("small", "cpu")
    save_checkpoint(shipped / "avse-audio.safetensors", stirred(tiny("none")), {"name": "avse-audio"})
    assert pretrained.for_audio_only(default) is default, "it is not the one that was shipped"
    (shipped / pretrained.SUMS).write_text(f"{default.sha256}  avse.safetensors\n")
    listener = pretrained.for_audio_only(default)
    assert listener.about["name"] == "avse-audio"
    assert pretrained.for_audio_only(default) is listener
    assert pretrained.for_audio_only(small) is small
    assert pretrained.for_audio_only(listener) is listener


@pytest.mark.parametrize("name", ["avsee", "", "../avse", "avse.md"])
def test_an_unknown_name_lists_the_known_ones(shipped: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        pretrained.load_model(name, "cpu")
    assert repr(name) in caught.value.message
    assert "avse, small" in caught.value.hint


def test_a_path_that_leads_nowhere(shipped: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.safetensors") as caught:
        pretrained.load_model(str(shipped / "gone.safetensors"), "cpu")
    assert "avse, small" in caught.value.hint


def test_nothing_shipped_is_an_error_and_no_random_net(shipped: Path) -> None:
    for path in shipped.glob("*.safetensors"):
        path.unlink()
    assert pretrained.names() == []
    with pytest.raises(UsageError) as caught:
        pretrained.load_model()
    assert "none in this installation" in caught.value.hint


def test_a_damaged_net_is_no_random_net(shipped: Path) -> None:
    path = pretrained.find("avse")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError):
        pretrained.load_model("avse", "cpu")


def test_words_for_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pretrained.pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pretrained.pick_device("auto") == torch.device("cpu")
    with pytest.raises(MissingError, match="no GPU") as missing:
        pretrained.pick_device("cuda")
    assert missing.value.exit_code == 3
    with pytest.raises(UsageError, match="'tpu'") as unknown:
        pretrained.pick_device("tpu")
    assert "auto, cpu or cuda" in unknown.value.hint
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pretrained.pick_device("auto") == pretrained.pick_device("cuda") == torch.device("cuda")
