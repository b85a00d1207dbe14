"""Versions in turn: each version that is compared runs its own code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import versions

import avse


def test_version_that_is_compared_is_that_of_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkout" / "avse").mkdir(parents=True)
    (tmp_path / "checkout" / "avse" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path / "checkout")
    process = versions.begin(sys.executable, "import avse; print(avse.__file__)", tmp_path)
    assert process.communicate()[0].strip() == avse.__file__
