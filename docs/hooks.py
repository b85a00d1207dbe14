"""MkDocs hook: replace ``<!-- help of every command -->`` on a page by the current help texts."""

from __future__ import annotations

import os
from typing import Any

MARK = "<!-- help of every command -->"


def on_page_markdown(markdown: str, **context: Any) -> str:
    """Return the page with the help texts in place of the mark."""
    return markdown.replace(MARK, "\n".join(_sections())) if MARK in markdown else markdown


def _sections() -> list[str]:
    from typer.main import get_command

    from avse_cli.main import app

    return [f"## {' '.join(words)}\n\n```text\n{text}\n```\n" for words, text in _helps(get_command(app), ["avse"])]


def _helps(command: Any, words: list[str]) -> list[tuple[list[str], str]]:
    """Return words to type and help text of a command and of its subcommands, in the order of the help."""
    from typer.testing import CliRunner

    from avse_cli.main import app

    os.environ["COLUMNS"] = "100"
    shown = CliRunner().invoke(app, [*words[1:], "--help"], prog_name="avse")
    found = [(words, shown.output.rstrip())]
    for name, each in getattr(command, "commands", {}).items():
        if each.hidden:
            continue
        found += _helps(each, [*words, name])
    return found
