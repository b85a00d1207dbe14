"""Weights on disk: the same net again, a header that anyone can read, and a clear word on what is not one of ours."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_world import made_inputs, stirred, tiny
from torch import Tensor

from avse.errors import InputError
from avse.models.fusion import FUSIONS
from avse.version import __version__
from avse.weights.checkpoint import load_checkpoint, save_checkpoint

ABOUT = {"name": "test", "training": {"data": "drawn", "licence": "CC0"}, "validation": {"improvement_db": 3.2}}


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, stirred(tiny()), ABOUT)
    return path


def save_as(path: Path, tensors: dict[str, Tensor], about: Mapping[str, Any]) -> Path:
    save_file(tensors, path, metadata={"avse": json.dumps(dict(about))})
    return path


def rewritten(path: Path, **header: Any) -> Path:
    """The same weights under another header."""
    return save_as(path, load_file(path), {**load_checkpoint(path).about, **header})


def refusal(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        load_checkpoint(path)
    assert str(path) in caught.value.message
    assert len(str(caught.value).splitlines()) == 2
    return caught.value


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("half", [False, True])
def test_the_same_net_comes_back(tmp_path: Path, fusion: str, half: bool) -> None:
    net = stirred(tiny(fusion, hop=160, mask="complex")).eval()
    save_checkpoint(tmp_path / "net.safetensors", net, ABOUT, half)
    loaded = load_checkpoint(tmp_path / "net.safetensors").net
    assert not loaded.training
    assert loaded.config == net.config
    for (name, ours), (other, theirs) in zip(net.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert (name, ours.dtype) == (other, theirs.dtype)
        assert torch.equal(theirs, ours.half().float() if half and ours.is_floating_point() else ours)
    inputs = made_inputs(net.config)
    torch.testing.assert_close(loaded(inputs).mask, net(inputs).mask, atol=0.03 if half else 0, rtol=0)


def test_half_is_half_the_size(tmp_path: Path, saved: Path) -> None:
    save_checkpoint(tmp_path / "half.safetensors", load_checkpoint(saved).net, ABOUT, half=True)
    full, half = (
        sum(value.nbytes for value in load_file(tmp_path / f"{name}.safetensors").values()) for name in ("net", "half")
    )
    assert 0.5 <= half / full < 0.53


def test_the_header_tells_all(saved: Path) -> None:
    with safe_open(saved, framework="pt") as stored:
        header = json.loads(stored.metadata()["avse"])
    assert header["format"] == "avse-1"
    assert header["avse_version"] == __version__
    assert header["model"]["fusion"] == "mmtm"
    assert {name: header[name] for name in ABOUT} == ABOUT
    loaded = load_checkpoint(saved)
    assert loaded.about == header
    assert loaded.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest()


def test_a_file_like_any_other_and_nothing_beside_it(tmp_path: Path, usual_umask: None) -> None:
    path = tmp_path / "net.safetensors"
    for _ in range(2):
        save_checkpoint(path, stirred(tiny()), ABOUT)
        assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.safetensors"]


def test_saving_that_fails_leaves_what_was_there(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        save_checkpoint(saved, stirred(tiny()), {"training": object()})
    assert saved.read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir()] == [saved.name]


def test_a_newer_format(saved: Path) -> None:
    error = refusal(rewritten(saved, format="avse-9"))
    assert "avse-9" in error.message
    assert "Update" in error.hint


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return trap.touch, ()

    path = tmp_path / "net.safetensors"
    torch.save({"weights": Trap()}, path)
    assert "never read" in refusal(path).hint
    assert not trap.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file(saved: Path, share: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(share * len(data))])
    refusal(saved)


def test_what_is_not_there_and_what_is_a_folder(tmp_path: Path) -> None:
    refusal(tmp_path / "nothing.safetensors")
    refusal(tmp_path)


def test_safetensors_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    refusal(path)
    save_file({"weight": torch.zeros(3)}, path, metadata={"avse": "[1, 2]"})
    refusal(path)


@pytest.mark.parametrize("change", ["lacking", "unknown", "misshapen"])
def test_weights_that_do_not_fit(saved: Path, change: str) -> None:
    tensors = load_file(saved)
    bias = tensors.pop("audio.mask.bias")
    if change != "lacking":
        tensors["audio.mask.bias"] = bias if change == "unknown" else bias[None]
    if change == "unknown":
        tensors["audio.mask.extra"] = bias.clone()
    assert "audio.mask." in refusal(save_as(saved, tensors, load_checkpoint(saved).about)).message


@pytest.mark.parametrize(
    "model",
    [{}, {"fusion": "glue"}, {"hop": 77}, {"wings": 2}, {"audio_channels": "four"}, {"lip_width": 7}, None],
)
def test_a_header_that_describes_another_net(saved: Path, model: Any) -> None:
    refusal(rewritten(saved, model=model))
