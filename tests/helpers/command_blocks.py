"""The blocks of a Markdown page that one may copy: commands (with the output shown below them) and Python."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from typer.main import get_command

from avse_cli.main import app

ROOT = Path(__file__).parents[2]
SHELL = ("sh", "bash", "console", "shell")
OTHERS_PROGRAMS = (
    "git",
    "cd",
    "python",
    "python3",
    "sha256sum",
    "tensorboard",
    "docker",
    "ray",
    "uv",
    "export",
    "watch",
    "tail",
)


@dataclass(frozen=True)
class Command:
    """One command line, and the lines of output shown below it (in ``console`` blocks, where commands begin with $)."""

    line: str
    output: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """The words of the command, without what follows a pipe or a redirection."""
        return shlex.split(re.split(r"\s[|>&<]", self.line, maxsplit=1)[0], comments=True)


def blocks(path: Path, *languages: str) -> list[str]:
    """The fenced blocks of a page in some languages."""
    fences = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for language, text in fences if language in languages]


def indented_lines(path: Path) -> list[str]:
    """Lines of the blocks that are indented by four columns, and of no fenced block or list."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line[4:] for line in text.splitlines() if line.startswith("    ")]


def commands(path: Path) -> list[Command]:
    """All commands of a page, in order: of its shell blocks, and lines of indented blocks that begin with avse."""
    found: list[Command] = []
    for text in blocks(path, *SHELL):
        lines = text.replace("\\\n", " ").splitlines()
        prompted = any(line.startswith("$ ") for line in lines)
        for line in filter(str.strip, lines):
            if not prompted or line.startswith("$ "):
                found.append(Command(line.removeprefix("$ ")))
            else:
                found[-1] = Command(found[-1].line, (*found[-1].output, line))
    plain = "\n".join(indented_lines(path)).replace("\\\n", " ").splitlines()
    known = ("avse ", "make ", "pip ", "python ")
    return [each for each in [*found, *map(Command, plain)] if each in found or each.line.startswith(known)]


def complaint(command: Command) -> str:
    """What is wrong with a command as it is typed; empty if nothing. Nothing is run."""
    program, *words = command.words or [""]
    if program == "avse":
        return _avse_complaint(words)
    if program == "make":
        targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return "".join(f"no target {word} " for word in words if "=" not in word and word not in targets)
    if program == "pip":
        wanted = re.findall(r"\[([\w,]+)\]", " ".join(words))
        extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        return "".join(
            f"no extra {each} " for each in ",".join(wanted).split(",") if each and f"\n{each} = [" not in extras
        )
    if program == "python" and words and words[0].endswith(".py"):
        return "" if (ROOT / words[0]).is_file() else f"no file {words[0]}"
    return "" if program in ("", *OTHERS_PROGRAMS) else f"no known program: {program}"


def _avse_complaint(words: list[str]) -> str:
    """Parse the words by the command's own parser."""
    if "..." in words or any(word in ("--version", "--install-completion", "--help") for word in words):
        return ""
    command, used = get_command(app), ["avse"]
    context = command.make_context("avse", [*words], resilient_parsing=True)
    while hasattr(command, "commands"):
        while words and words[0].startswith("-"):
            words = words[1:]
        if not words:
            return "" if used != ["avse"] else "no command"
        if words[0] not in command.commands:
            return f"no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
        used.append(words[0] if words else "")
    try:
        command.make_context(" ".join(used), [*words], parent=context)
    except Exception as error:  # typer and click raise their own kinds, by version
        return f"{type(error).__name__}: {error}"
    return ""
