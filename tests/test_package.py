"""What ``import avse`` gives, and where the installed parts are found."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest

import avse


def test_public_functions_and_classes_are_what_they_say():
    assert callable(avse.enhance)
    assert callable(avse.enhance_all)
    assert isinstance(avse.Result, type)
    assert isinstance(avse.load_model("avse-small", "cpu"), avse.Enhancer)


def test_enhance_stays_the_function_whatever_modules_are_imported():
    for module in pkgutil.walk_packages(avse.__path__, "avse."):
        assert module.name.removeprefix("avse.") not in avse.__all__


@pytest.mark.parametrize(
    ("former", "name", "home", "present"),
    [
        ("avse.registry", "find", "avse.weights.pretrained", "find"),
        ("avse.registry", "load_model", "avse.weights.pretrained", "load_model"),
        ("avse.checkpoint", "load_checkpoint", "avse.weights.checkpoint", "load_checkpoint"),
        ("avse.model", "Model", "avse.enhancement.enhancer", "Enhancer"),
        ("avse.each", "enhance_each", "avse.enhancement.all_speakers", "enhance_all"),
    ],
)
def test_former_module_still_gives_its_names(
    former: str, name: str, home: str, present: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, former, raising=False)
    with pytest.warns(DeprecationWarning, match=f"^{former} is now {home}.$"):
        module = importlib.import_module(former)
    assert name in module.__all__
    assert getattr(module, name) is getattr(importlib.import_module(home), present)
    assert set(module.__all__) <= set(vars(module))


def test_module_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError, match=r"avse\.registers"):
        importlib.import_module("avse.registers")


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'enhanced'"):
        _ = avse.enhanced


def test_public_names_are_listed():
    assert {"Enhancer", "Result", "__version__", "enhance", "enhance_all", "load_model"} <= set(dir(avse))


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
