"""Weights on disk: the same net again, a header that anyone can read, and a clear word on what is not one of ours."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import json_values
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_world import made_inputs, stirred, tiny
from torch import Tensor

from avse.errors import InputError
from avse.models.fusion import FUSIONS
from avse.version import __version__
from avse.weights.checkpoint import load_checkpoint, save_checkpoint
from avse.weights.metadata import Provenance, read_metadata

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


def test_the_header_is_complete(saved: Path) -> None:
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
        save_checkpoint(saved, stirred(tiny()), {"training": {"seed": object()}})
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


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["audio.mask.weight", "audio.norm.running_mean", "fusions.0.squeeze.weight"])
def test_weights_that_are_not_finite_are_refused(saved: Path, name: str, value: float) -> None:
    tensors = load_file(saved)
    name = name if name in tensors else next(key for key in tensors if key.startswith("fusions") and "weight" in key)
    tensors[name].view(-1)[-1] = value
    assert f"{name} are not finite" in refusal(save_as(saved, tensors, load_checkpoint(saved).about)).message


def test_variances_below_zero_are_refused(saved: Path) -> None:
    tensors = load_file(saved)
    tensors["audio.norm.running_var"][3] = -1.0
    assert "are negative" in refusal(save_as(saved, tensors, load_checkpoint(saved).about)).message


def test_weights_that_are_not_finite_are_not_written(saved: Path) -> None:
    before, net = saved.read_bytes(), stirred(tiny())
    net.state_dict()["audio.mask.weight"].fill_(70_000.0)  # finite, but not in half precision
    with pytest.raises(InputError, match="not finite"):
        save_checkpoint(saved, net, {}, half=True)
    assert saved.read_bytes() == before


HUGE = {
    "rounds": {"bottleneck_rounds": 10**6},
    "channels": {"audio_channels": [20_000] * 6},
    "many channels": {"audio_channels": [2**62] * 4},
    "wide": {"lip_width": 100_000},
    "priors": {"imputer": "paper", "num_priors": 10**9},
    "frames": {"stem_frames": 10**7 + 1},
    "widest that is allowed": {"audio_channels": [2048] * 6, "lip_width": 256, "bottleneck_rounds": 64},
}


@pytest.mark.parametrize("change", HUGE)
def test_a_small_file_that_asks_for_a_huge_net_costs_nothing(saved: Path, change: str) -> None:
    about = load_checkpoint(saved).about
    header = {"format": about["format"], "model": {**about["model"], **HUGE[change]}}
    save_as(saved, {"a": torch.zeros(1)}, header)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refusal(saved)
    assert time.monotonic() - began < 30
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def write_header(path: Path, header: bytes, data: bytes = b"") -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


DEEP = 200_000
ODD_HEADERS = {
    "deep metadata": b'{"__metadata__":{"avse":"' + b"[" * DEEP + b'"}}',
    "deep header": b'{"a":' + b"[" * DEEP,
    "no object": b"[1, 2]",
    "no text": b"\xff\xfe",
    "no metadata": b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
    "metadata that are a list": b'{"__metadata__":["avse"]}',
    "tensor that is a number": b'{"__metadata__":{"avse":"{\\"format\\":\\"avse-1\\",\\"model\\":{}}"},"a":3}',
    "huge integer": b'{"a":' + b"9" * 10_000 + b"}",
}


@pytest.mark.parametrize("name", ODD_HEADERS)
def test_headers_that_are_none(tmp_path: Path, name: str) -> None:
    path = write_header(tmp_path / "odd.safetensors", ODD_HEADERS[name])
    refusal(path)
    with pytest.raises(InputError, match="not an avse checkpoint"):
        read_metadata(path)


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": ["1"], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "C64", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0]},
    ],
)
def test_tensors_that_do_not_fit_their_bytes(tmp_path: Path, tensor: dict[str, Any]) -> None:
    about = json.dumps({"format": "avse-1", "model": {}})
    header = json.dumps({"__metadata__": {"avse": about}, "a": tensor}).encode()
    path = write_header(tmp_path / "odd.safetensors", header, b"1234")
    refusal(path)
    with pytest.raises(InputError):
        read_metadata(path)


@pytest.mark.parametrize(
    "change",
    [
        {"name": 3},
        {"validation": [1.0]},
        {"validation": {"validation/improvement_db/seen": "much"}},
        {"training": "long"},
        {"validation_speakers": "Ann"},
        {"step": "seven"},
        {"mean": {"a": None}},
    ],
)
def test_provenance_of_a_wrong_type(saved: Path, change: dict[str, Any]) -> None:
    refusal(rewritten(saved, **change))


def test_provenance_comes_back_and_what_was_never_set_is_left_out(saved: Path) -> None:
    given = Provenance("mine", training={"seed": 3}, start=None, step=4, validation_speakers=("Ann", "Bob"))
    save_checkpoint(saved, stirred(tiny()), given)
    loaded = load_checkpoint(saved)
    assert loaded.provenance == given
    assert set(loaded.about) == {
        "format", "avse_version", "model", "name", "training", "start", "step", "validation_speakers",
    }  # fmt: skip
    assert read_metadata(saved).provenance == given


@given(data=st.data())
@settings(max_examples=100)
def test_any_metadata_is_a_checkpoint_or_two_lines(saved: Path, data: st.DataObject) -> None:
    about = {"format": "avse-1", "model": asdict(tiny())}
    about[data.draw(st.sampled_from([*about, "name", "validation", "start", "step", "mean"]))] = data.draw(json_values)
    about["model"] = data.draw(json_values | st.dictionaries(st.sampled_from(list(asdict(tiny()))), json_values))
    write_header(saved, json.dumps({"__metadata__": {"avse": json.dumps(about)}}).encode())
    refusal(saved)


@pytest.mark.parametrize(
    "model",
    [{}, {"fusion": "glue"}, {"hop": 77}, {"wings": 2}, {"audio_channels": "four"}, {"lip_width": 7}, None],
)
def test_a_header_that_describes_another_net(saved: Path, model: Any) -> None:
    refusal(rewritten(saved, model=model))
