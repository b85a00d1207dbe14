"""Checkpoint files by any form of their path; other tests of their metadata are in test_checkpoint.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_world import stirred, tiny

from avse.errors import UsageError
from avse.weights.checkpoint import convert, load_checkpoint, save_checkpoint
from avse.weights.metadata import read_metadata


@pytest.mark.parametrize("form", [str, Path, os.fsencode])
def test_files_are_read_and_written_by_any_form_of_their_path(tmp_path: Path, form: Callable[[Path], Any]) -> None:
    path, released = form(tmp_path / "net.safetensors"), form(tmp_path / "released.safetensors")
    save_checkpoint(path, stirred(tiny()), {"name": "test"})
    convert(path, released, "released", "drawn", "CC0")
    assert read_metadata(path).provenance.name == "test"
    assert load_checkpoint(released).provenance.name == "released"


@pytest.mark.parametrize("value", [None, 3, "a\0b"])
@pytest.mark.parametrize("load", [load_checkpoint, read_metadata])
def test_what_is_no_path_is_distinguished_from_a_damaged_file(load: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(UsageError, match="path is "):
        load(value)
