"""Models on the Hub: what is pushed comes back bit by bit, offline from the cache, and nothing else is fetched."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from local_hub import COMMIT, LocalHub, local_hub
from small_world import stirred, tiny
from typer.testing import CliRunner

from avse.enhancement.enhancer import load_model
from avse.errors import AvseError, MissingError, UsageError
from avse.weights import hub as hub_module
from avse.weights import pretrained
from avse.weights.checkpoint import save_checkpoint
from avse_cli.main import app

CARD = "# The card\n\n| | |\n|---|---|\n| gain | +3.0 dB, measured |\n"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with local_hub(monkeypatch, str(tmp_path / "cache")) as found:
        yield found


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    save_checkpoint(path, stirred(tiny()), {"name": "mine"}, half=True)
    path.with_suffix(".md").write_text(CARD)
    return path


def avse(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def test_pushed_model_is_loaded_by_its_name_and_again_offline(
    hub: LocalHub, mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = avse("push", mine, "hf://me/mine")
    assert pushed.exit_code == 0, pushed.output
    assert COMMIT in pushed.stdout
    assert hub.created == [("me/mine", True)]
    assert hub.files["me/mine"] == {"model.safetensors": mine.read_bytes(), "README.md": CARD.encode()}
    model = load_model("hf://me/mine", "cpu")
    assert model.about["name"] == "mine"
    assert pretrained.card("hf://me/mine") == CARD
    assert pretrained.scores("hf://me/mine") == "+3.0 dB, measured"
    assert [request for request in hub.requests if request.startswith("GET")] == [
        "GET /me/mine/resolve/main/model.safetensors", "GET /me/mine/resolve/main/README.md"
    ]  # fmt: skip

    del hub.requests[:]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_model("hf://me/mine", "cpu").sha256 == model.sha256
    assert hub.requests == []


def test_cache_folder_alone_is_enough_offline(hub: LocalHub, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of the cache: refs name commits, whose snapshots hold the files."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MissingError, match="not in the cache") as caught:
        hub_module.fetch("hf://you/yours")
    assert "HF_HUB_OFFLINE" in caught.value.hint
    repository = mine.parent / "cache/models--you--yours"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text(COMMIT)
    (repository / "snapshots" / COMMIT).mkdir(parents=True)
    (repository / "snapshots" / COMMIT / "model.safetensors").write_bytes(mine.read_bytes())
    assert pretrained.find("hf://you/yours").read_bytes() == mine.read_bytes()
    assert load_model(f"hf://you/yours@{COMMIT}", "cpu").about["name"] == "mine"
    assert hub.requests == []


def test_name_of_this_machine_fetches_nothing(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    load_model(str(mine), "cpu")
    pretrained.find("avse")
    for name in ("nobody", "me/mine", "nobody.safetensors"):
        with pytest.raises(UsageError):
            pretrained.find(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf://mine", "not a model name"),
        ("hf://me/mine/more", "not a model name"),
        ("hf://me/..", "not a model name"),
        ("hf://nobody/nothing", "not open to you"),
        ("hf://me/empty", "contains no model.safetensors"),
    ],
)
def test_wrong_name_is_two_lines(hub: LocalHub, name: str, said: str) -> None:
    hub.files["me/empty"] = {"README.md": b"card"}
    with pytest.raises(UsageError, match=said) as caught:
        load_model(name, "cpu")
    assert str(caught.value).count("\n") == 1


def test_without_the_package_the_error_names_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingError, match="huggingface_hub") as caught:
        hub_module.fetch("hf://me/mine")
    assert "[hub]" in caught.value.hint


def test_refused_upload_is_two_lines(hub: LocalHub, mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **options: Any) -> None:
        raise OSError("401 Client Error\n\nUnauthorized")

    monkeypatch.setattr(hub, "create_repo", refuse)
    with pytest.raises(AvseError, match="401 Client Error Unauthorized") as caught:
        hub_module.push(mine, mine.with_suffix(".md"), "hf://me/mine")
    assert "log" in caught.value.hint


def test_nothing_is_pushed_without_a_card_or_in_a_dry_run(hub: LocalHub, mine: Path) -> None:
    assert avse("push", mine, "hf://me/mine", "--dry-run").exit_code == 0
    assert avse("push", mine, "me/mine").exit_code == 2
    mine.with_suffix(".md").unlink()
    assert avse("push", mine, "hf://me/mine").exit_code == 2
    assert hub.files == {}
    assert hub.created == []
