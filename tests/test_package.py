"""What ``import avse`` gives, and where the installed parts are found."""

from __future__ import annotations

import importlib
import re
import sys
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType

import pytest

import avse


@pytest.fixture
def enhance_module(monkeypatch):
    """A stand-in for ``avse/enhance.py``, bound the way the import system binds a submodule."""
    module = ModuleType("avse.enhance")
    module.enhance = lambda path: f"enhanced {path}"
    monkeypatch.setitem(sys.modules, "avse.enhance", module)
    avse.enhance = module
    return module


def test_enhance_is_the_function_though_its_module_was_imported(enhance_module):
    assert importlib.import_module("avse.enhance") is enhance_module
    assert avse.enhance("x.mp4") == "enhanced x.mp4"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'enhancer'"):
        _ = avse.enhancer


def test_public_names_are_listed():
    assert {"enhance", "load_model", "__version__"} <= set(dir(avse))


def test_version_is_the_installed_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+", avse.__version__)
    assert metadata.version("avse") == avse.__version__


def test_checkpoint_folder_is_found_where_it_is_installed():
    assert resources.files("avse_checkpoints").joinpath("__init__.py").is_file()


def test_every_package_is_listed_for_the_wheel():
    root = Path(__file__).parents[1]
    packages = {".".join(path.parent.relative_to(root).parts) for path in (root / "avse").rglob("__init__.py")}
    listed = set(re.findall(r'^ {4}"(avse[\w.]*)",$', (root / "pyproject.toml").read_text(), re.MULTILINE))
    assert packages <= listed
