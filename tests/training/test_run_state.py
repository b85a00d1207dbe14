"""What a run goes on from: read without running code, and refused in two lines where it is damaged."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import json_values
from small_world import stirred, tiny

from avse.errors import MissingError, UsageError
from avse.training.run_folder import STATE, write_state
from avse.training.run_state import check_moments, read_state


def state() -> dict[str, Any]:
    net = stirred(tiny())
    return {
        "net": net.state_dict(), "average": {}, "optimiser": {}, "step": 3, "best": 1.5, "start": None,
        "settings": {"stage": "speech"},
    }  # fmt: skip


def write(folder: Path, value: Any) -> Path:
    torch.save(value, folder / "last.pt")
    return folder / "last.pt"


def refusal(path: Path) -> str:
    before = path.read_bytes()
    with pytest.raises(UsageError) as caught:
        read_state(path)
    assert path.read_bytes() == before
    assert len(str(caught.value).splitlines()) == 2
    assert "last.pt cannot be read" in caught.value.message
    return caught.value.message


def test_whole_state_comes_back(tmp_path: Path) -> None:
    assert read_state(write(tmp_path, state()))["step"] == 3


@pytest.mark.parametrize(
    "change",
    [
        {"net": None}, {"average": [1]}, {"optimiser": 3}, {"step": -1}, {"step": 1.5}, {"best": float("nan")},
        {"best": "high"}, {"start": 7}, {"settings": []}, {"net": {"a": torch.tensor([float("nan")])}},
        {"net": {"a": "weights"}},
    ],
)  # fmt: skip
def test_state_with_a_wrong_part_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    refusal(write(tmp_path, state() | change))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_cut_state_is_refused(tmp_path: Path, share: float) -> None:
    path = write(tmp_path, state())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refusal(path)


def test_code_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path / "sprung").touch, ()

    refusal(write(tmp_path, {"net": Trap()}))
    assert not (tmp_path / "sprung").exists()


@given(value=json_values | st.dictionaries(st.sampled_from(list(state())), json_values))
@settings(max_examples=50)
def test_any_other_state_is_refused(tmp_path: Path, value: Any) -> None:
    refusal(write(tmp_path, value))


@given(data=st.binary(max_size=300))
@settings(max_examples=50)
def test_any_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(data)
    refusal(tmp_path / "last.pt")


def test_moments_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="has the shape"):
        check_moments({torch.zeros(3): {"step": torch.tensor(1.0), "exp_avg": torch.zeros(4)}})


def test_full_disk_stops_a_run_and_keeps_its_former_state(tmp_path: Path) -> None:
    write_state(tmp_path, {"step": 1})
    former = (tmp_path / STATE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(MissingError, match=rf"{tmp_path} cannot be written to: File too large"):
            write_state(tmp_path, {"net": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / STATE).read_bytes() == former
    assert [path.name for path in tmp_path.iterdir()] == [STATE]
