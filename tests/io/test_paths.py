"""Paths in any of the forms that callers have."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avse.errors import UsageError
from avse.io.paths import as_path


@pytest.mark.parametrize("form", [str, Path, os.fsencode])
def test_all_forms_of_a_path_are_taken(tmp_path: Path, form: Callable[[Path], Any]) -> None:
    for name in ("a.wav", "ü.wav", os.fsdecode(b"\xff.wav")):
        assert as_path(form(tmp_path / name), "recording") == tmp_path / name


@pytest.mark.parametrize("value", [None, 3, True, ["a"], "a\0b", b"a\0b", "a" * 5000])
def test_what_is_no_path_is_two_lines_with_the_name_of_the_argument(value: Any) -> None:
    with pytest.raises(UsageError, match="recording is ") as caught:
        as_path(value, "recording")
    assert len(str(caught.value).splitlines()) == 2
    assert len(str(caught.value)) < 300
