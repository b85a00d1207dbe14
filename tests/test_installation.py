"""Hints name a command that works for how avse was installed, and never an index that does not have it."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from avse import installation
from avse.batch import storage
from avse.errors import InputError, MissingError
from avse.evaluation import dnsmos
from avse.installation import install_hint, reinstall_hint, restore_hint
from avse.parallel import ray
from avse.weights import export, pretrained
from avse_cli.main import app

ROOT = Path(__file__).parents[1]


class Distribution:
    """An installed avse, of whose origin pip noted this."""

    def __init__(self, origin: dict[str, Any] | None) -> None:
        self.origin = origin

    def read_text(self, name: str) -> str | None:
        return json.dumps(self.origin) if self.origin and name == "direct_url.json" else None


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "_pip", lambda: "pip")


def installed(monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None, checkout: Path | None = None) -> None:
    monkeypatch.setattr(installation, "_checkout", lambda: checkout)
    monkeypatch.setattr(metadata, "distribution", lambda name: Distribution(origin))


@pytest.mark.usefixtures("pip")
@pytest.mark.parametrize("has_constraints", [True, False])
def test_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_constraints: bool) -> None:
    folder = tmp_path / "my avse"
    folder.mkdir()
    first = f"-c '{folder}/constraints.txt' " if has_constraints else ""
    if has_constraints:
        (folder / "constraints.txt").touch()
    installed(monkeypatch, None, folder)
    assert install_hint("ui") == f"Type: pip install {first}-e '{folder}[ui]'"
    assert reinstall_hint() == f"Type: pip install --force-reinstall --no-deps {first}-e '{folder}'"
    assert restore_hint() == f"Type: git -C '{folder}' restore checkpoints"


@pytest.mark.usefixtures("pip")
@pytest.mark.parametrize("name", ["avse-1.0-py3-none-any.whl", "a folder"])
def test_file_or_folder_that_is_still_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    source = tmp_path / name
    source.touch()
    installed(monkeypatch, {"url": source.as_uri()})
    assert shlex.split(install_hint("train"))[1:] == ["pip", "install", f"{source}[train]"]
    assert (
        restore_hint()
        == reinstall_hint()
        == f"Type: pip install --force-reinstall --no-deps {shlex.quote(str(source))}"
    )


@pytest.mark.usefixtures("pip")
@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        ({"url": "https://a.b/avse.whl"}, "avse[ray] @ https://a.b/avse.whl"),
        (
            {"url": "https://a.b/avse", "vcs_info": {"vcs": "git", "commit_id": "1f"}},
            "avse[ray] @ git+https://a.b/avse@1f",
        ),
    ],
)
def test_url(monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any], requirement: str) -> None:
    installed(monkeypatch, origin)
    assert install_hint("ray") == f"Type: pip install {shlex.quote(requirement)}"


@pytest.mark.usefixtures("pip")
@pytest.mark.parametrize("origin", [None, {"url": "file:///no/such/avse-1.0-py3-none-any.whl"}])
def test_packages_of_the_extra_where_the_origin_is_gone(
    monkeypatch: pytest.MonkeyPatch, origin: dict[str, Any] | None
) -> None:
    installed(monkeypatch, origin)
    lines = ["numpy>=1", "speechmos>=0.1; extra == 'dnsmos'", 'ray<3,>=2 ; python_version > "3" and extra == "ray"']
    monkeypatch.setattr(metadata, "requires", lambda name: lines)
    assert install_hint("dnsmos") == "Type: pip install 'speechmos>=0.1'"
    assert install_hint("ray") == "Type: pip install 'ray<3,>=2'"
    assert "pip install" not in reinstall_hint()


def test_avse_that_was_only_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(installation, "_checkout", lambda: None)
    monkeypatch.setattr(metadata, "distribution", missing)
    monkeypatch.setattr(metadata, "requires", missing)
    assert install_hint("ui") == reinstall_hint()


def test_pip_is_that_of_this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/somewhere/bin/python3")
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert " /somewhere/bin/python3 -m pip install " in install_hint("ui")
    monkeypatch.setattr("shutil.which", lambda name: f"/somewhere/bin/{name}")
    assert install_hint("ui").startswith("Type: pip install ")


def blocked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    package, _, module = name.rpartition(".")
    if package in sys.modules:
        monkeypatch.delattr(sys.modules[package], module, raising=False)


@pytest.mark.parametrize(
    ("package", "extra", "work"),
    [
        ("ray", "ray", lambda: ray.connected("local").__enter__()),
        ("fsspec.core", "ray", lambda: storage.existing("s3://a/b", ["s3://a/b/c"])),
        ("onnxscript", "export", lambda: export.export_onnx(None, Path("a.onnx"))),  # type: ignore[arg-type]
    ],
)
def test_what_lacks_a_package_names_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, package: str, extra: str, work: Any
) -> None:
    blocked(monkeypatch, package)
    with pytest.raises(MissingError) as caught:
        work()
    assert caught.value.hint == install_hint(extra)


def test_dnsmos_and_training_name_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    blocked(monkeypatch, "avse.training.distributed")
    result = CliRunner().invoke(app, ["train", "--print-config"])
    assert (result.exit_code, install_hint("train") in result.stderr) == (3, True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError) as caught:
        dnsmos.check_installed()
    assert caught.value.hint == install_hint("dnsmos")


def test_damaged_model_names_how_to_restore_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "sha256", lambda path: "other")
    with pytest.raises(InputError) as caught:
        pretrained.verify("avse")
    assert caught.value.hint == restore_hint()


def test_no_hint_names_avse_on_an_index() -> None:
    """Commands are made in one place; elsewhere only packages that an index has are named."""
    texts = {
        path: path.read_text(encoding="utf-8") for folder in ("avse", "cli") for path in (ROOT / folder).rglob("*.py")
    }
    assert [path.name for path, text in texts.items() if re.search(r"""pip install [^"\n]*\bavse\b""", text)] == []
