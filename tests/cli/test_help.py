"""Help: plain names of types, choices that are listed and completed on Tab, summaries that fit."""

from __future__ import annotations

from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from avse.models.fusion import FUSIONS
from avse.training.config import STAGES
from avse.weights.pretrained import names
from avse_cli import train_options
from avse_cli.app import readable
from avse_cli.main import app
from avse_cli.options import complete, complete_model


def all_commands(command: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    found = {words: command}
    for name, each in getattr(command, "commands", {}).items():
        found |= all_commands(each, (*words, name))
    return found


EVERY = all_commands(get_command(app))


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_has_no_names_of_python_types(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"]).output
    assert "Usage: " in shown
    assert [leak for leak in ("<str>", "<path>", "<int", "<float", "<list", "{", "Path]") if leak in shown] == [
        leak for leak in ("{",) if "{in}" in shown
    ]


def test_summaries_are_not_cut() -> None:
    for words in ((), ("models",)):
        shown = CliRunner().invoke(app, [*words, "--help"]).output
        assert [line for line in shown.splitlines()[1:] if line.endswith("...")] == []


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("--seed <int range>", "--seed NUMBER"),
        ("-o, --output <path>", "-o, --output PATH"),
        ("--engine <local|ray>", "--engine local|ray"),
        ("--start-from <list[Path]>...", "--start-from PATH"),
        ("NAME... <list[str]>", "NAME..."),
        ("--force", "--force"),
    ],
)
def test_types_are_readable(given: str, shown: str) -> None:
    assert readable(given) == shown


def test_choices_are_completed() -> None:
    assert complete("active", "all", "left")("a") == ["active", "all"]
    assert complete_model("avse-") == [name for name in names() if name.startswith("avse-")] != []


def test_listed_choices_of_training_are_all_there_are() -> None:
    assert (set(train_options.FUSIONS), set(train_options.STAGES)) == (set(FUSIONS), set(STAGES))
