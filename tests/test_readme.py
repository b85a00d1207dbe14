"""The README is true: its commands run, they print what it shows, and its Python works.

Commands run in a folder that holds ``samples/`` and ``checkpoints/`` of the repository and, under the names that the
page gives them, copies of a sample (``input.mp4``, ``panel.mp4``...). In ``console`` blocks the lines below a command
are its output, compared with all numbers masked. What needs data that is not ours to ship (``avse train``...), what
runs until it is ended (``avse ui``), and what installs something, is not run; tests/test_docs.py sees that it can be
typed as it stands.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from command_blocks import ROOT, Command, blocks, commands
from typer.testing import CliRunner

from avse_cli.main import app

README = ROOT / "README.md"
ONLY_TYPED = frozenset({"train", "prepare", "mix", "evaluate", "models", "ui", "--install-completion", "--version"})
COMMANDS = [command for command in commands(README) if command.words[:1] == ["avse"]]
RUN = [command for command in COMMANDS if command.words[1] not in ONLY_TYPED]


def masked(text: str) -> list[str]:
    """Words of each line with every number as #, so that times and scores may differ but not what is said."""
    lines = (re.sub(r"[-+]?\d+(\.\d+)?", "#", line).split() for line in text.splitlines())
    return [" ".join(words) for words in lines if words]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What someone has who follows the page, with the recordings that it speaks of."""
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    shutil.copytree(ROOT / "checkpoints", tmp_path / "checkpoints")
    inputs = {word for command in RUN for word in command.words[2:3] if "/" not in word and word.endswith(".mp4")}
    named = re.findall(r"\"(\w+\.mp4)\"", "\n".join(blocks(README, "python")))
    for name in {"input.mp4", *inputs, *named}:
        shutil.copy(ROOT / "samples" / "talker-with-noise.mp4", tmp_path / name)
    shutil.copy(ROOT / "samples" / "talker-with-noise.reference.wav", tmp_path / "studio.wav")
    for command in RUN:
        for word in command.words[2:3]:
            if word.endswith("/") and not (tmp_path / word).exists():
                (tmp_path / word).mkdir(parents=True)
                shutil.copy(ROOT / "samples" / "talker-with-noise.mp4", tmp_path / word / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_has_commands_to_run() -> None:
    assert any(command.words[1] == "enhance" for command in RUN)


@pytest.mark.parametrize("command", RUN, ids=lambda command: command.line)
def test_command_runs_and_prints_what_the_page_shows(folder: Path, command: Command) -> None:
    shown = CliRunner().invoke(app, command.words[1:])
    assert shown.exit_code == 0, shown.output
    if command.output:
        assert masked(shown.stdout) == masked("\n".join(command.output))


@pytest.mark.parametrize("text", blocks(README, "python"), ids=lambda text: text.splitlines()[-1])
def test_python_runs(folder: Path, text: str) -> None:
    exec(compile(text, str(README), "exec"), {})


def test_links_lead_somewhere() -> None:
    text = README.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r"src(?:set)?=\"([^\"]+)\"", text)
    assert targets
    assert [each for each in targets if "://" not in each and not (ROOT / each).exists()] == []
