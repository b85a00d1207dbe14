"""Outputs behind URLs obey the rules of files: nothing is replaced without --force, nothing is left half-written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from avse.batch import storage
from avse.errors import MissingError, UsageError

PLACE = "memory://bucket/talks/a.wav"


@pytest.fixture
def memory() -> Iterator[Any]:
    """A file system in memory, behind URLs."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


def put(text: bytes, may_replace: bool = True, meanwhile: Any = None) -> None:
    with storage.writable(PLACE, may_replace) as local:
        local.write_bytes(text)
        if meanwhile:
            meanwhile()


@pytest.mark.parametrize("may_replace", [False, True])
def test_output_that_appears_meanwhile_is_replaced_on_demand_alone(memory: Any, may_replace: bool) -> None:
    def appear() -> None:
        memory.pipe_file("/bucket/talks/a.wav", b"precious")

    if may_replace:
        put(b"new", True, appear)
    else:
        with pytest.raises(UsageError, match="was created by another process"):
            put(b"new", False, appear)
    assert memory.cat_file("/bucket/talks/a.wav") == (b"new" if may_replace else b"precious")
    assert memory.find("/bucket") == ["/bucket/talks/a.wav"]


def test_output_is_there_when_it_is_whole(memory: Any) -> None:
    with pytest.raises(KeyError):
        put(b"half", meanwhile=lambda: {}["broken off"])
    assert memory.find("/") == []
    put(b"whole", may_replace=False)
    assert memory.cat_file("/bucket/talks/a.wav") == b"whole"


@pytest.mark.parametrize("method", ["put_file", "mv", "makedirs"])
def test_what_a_storage_raises_stops_the_batch(memory: Any, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise RuntimeError("403\nForbidden")

    monkeypatch.setattr(type(memory), method, refuse)
    with pytest.raises(MissingError, match=r"a\.wav cannot be written: RuntimeError: 403 Forbidden"):
        put(b"new")
    assert "/bucket/talks/a.wav" not in memory.store
    assert memory.find("/") == []


def test_a_folder_that_cannot_be_listed_is_an_error(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(type(memory), "find", refuse)
    with pytest.raises(MissingError, match="memory://bucket cannot be listed"):
        storage.existing("memory://bucket", [PLACE])


def test_reading_fetches_the_file_under_its_name(memory: Any) -> None:
    memory.pipe_file("/bucket/talks/a.wav", b"audio")
    with storage.readable(PLACE) as local:
        assert (local.name, local.read_bytes()) == ("a.wav", b"audio")
    assert not Path(local).exists()
