"""What people expect of a command: its options' names, its streams, colours, completion, and poor surroundings."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from command_blocks import Command, complaint
from recordings import coloured_noise, write_recording
from typer.main import get_command
from typer.testing import CliRunner

from avse.errors import UsageError
from avse_cli.app import App
from avse_cli.main import app
from avse_cli.tables import write_table

AVSE = Path(sys.executable).with_name("avse")
NOBODY = 65534
SHORT_NAMES = {
    "--output": "-o",
    "--force": "-f",
    "--quiet": "-q",
    "--verbose": "-v",
    "--jobs": "-j",
    "--dry-run": "-n",
    "--help": "-h",
    "--version": "-V",
}


def every_command(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, each in getattr(command, "commands", {}).items():
        yield from every_command(each, (*words, name))


EVERY = dict(every_command(get_command(app)))
LEAVES = {words: command for words, command in EVERY.items() if not hasattr(command, "commands")}


def run(*arguments: str | Path | bytes, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Type a command in a shell of its own."""
    settings = {"capture_output": True, "text": True, "check": False, **settings}
    return subprocess.run([AVSE, *arguments], **settings)


# Options and helps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_long_options_have_their_usual_short_names(words: tuple[str, ...]) -> None:
    for option in EVERY[words].params:
        for long, short in SHORT_NAMES.items():
            if long in option.opts:
                assert short in option.opts, long


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_every_command_can_be_verbose_and_reports_why_it_failed(words: tuple[str, ...]) -> None:
    names = {name for option in LEAVES[words].params for name in option.opts}
    assert {"--verbose", "--debug"} <= names
    if "--output" in names or "--run" in names:
        assert "--quiet" in names


@pytest.mark.parametrize("words", [words for words, command in LEAVES.items() if not command.hidden], ids=" ".join)
def test_every_help_teaches_by_examples_that_can_be_typed(words: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"]).output
    examples = [line.strip() for line in shown.partition("\nExample")[2].splitlines()[1:]]
    assert any(line.startswith("avse " + " ".join(words)) for line in examples), shown
    problems = {line: complaint(Command(line)) for line in examples if line.startswith("avse ")}
    assert not any(problems.values()), problems
    assert "`" not in shown


def test_every_option_is_explained() -> None:
    unexplained = [
        (" ".join(words), option.name)
        for words, command in EVERY.items()
        for option in command.params
        if not option.help and not option.hidden
    ]
    assert unexplained == []


def test_options_are_in_groups() -> None:
    own = App(rich_markup_mode=None)

    @own.command()
    def command(
        name: Path, size: Annotated[int, typer.Option(rich_help_panel="Looks")] = 1, flat: bool = False
    ) -> None:
        """Do nothing."""

    shown = CliRunner().invoke(own, ["--help"]).output
    assert re.findall(r"^(\w[\w ]*):$", shown, re.MULTILINE) == ["Arguments", "Options", "Looks", "Output options"]
    looks, said = shown.partition("Looks:")[2].split("Output options:")
    assert "--size" in looks
    assert "--flat" not in looks + said
    assert all(f"--{name}" in said for name in ("verbose", "debug", "help"))


def test_commands_are_in_groups() -> None:
    lines = CliRunner().invoke(app, ["--help"]).output.splitlines()
    assert {"Recordings:", "Training:", "Installation:"} <= set(lines)
    assert "Commands:" not in lines


def test_a_dry_run_of_prepare_counts_and_writes_nothing(tmp_path: Path) -> None:
    for name in ("a/1.wav", "a/2.wav", "b/1.wav"):
        (tmp_path / "voices" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "voices" / name).touch()
    (tmp_path / "cache" / "b").mkdir(parents=True)
    (tmp_path / "cache" / "b" / "1.npz").touch()
    command = ["prepare", str(tmp_path / "voices"), "-o", str(tmp_path / "cache"), "--dry-run"]
    shown = CliRunner().invoke(app, command)
    assert (shown.exit_code, shown.stdout) == (0, "3 recordings; 1 of them already prepared\n")
    assert [path.name for path in (tmp_path / "cache").rglob("*")] == ["b", "1.npz"]


# Streams ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "in.wav", coloured_noise(8000))


@pytest.fixture
def usual_logging() -> Iterator[None]:
    logger = logging.getLogger("avse")
    before = logger.handlers[:], logger.level
    yield
    logger.handlers[:], logger.level = before


def test_results_on_stdout_logs_on_stderr(
    recording: Path, tmp_path: Path, tiny_model: Path, usual_logging: None
) -> None:
    options = ["--model", str(tiny_model), "--json", "--force"]
    command = ["enhance", str(recording), "-o", str(tmp_path / "out.wav"), *options]
    silent, verbose = (CliRunner().invoke(app, [*command, *more]) for more in ([], ["-v"]))
    assert (silent.exit_code, verbose.exit_code) == (0, 0)
    assert silent.stderr == ""
    assert tiny_model.name in verbose.stderr
    assert "avse.weights.pretrained" in verbose.stderr
    assert set(json.loads(silent.stdout)) == set(json.loads(verbose.stdout))
    assert len(silent.stdout.splitlines()) == 1


def test_debug_works_after_the_command_too(tmp_path: Path) -> None:
    failing = ["models", "show", "nobody"]
    assert isinstance(CliRunner().invoke(app, failing).exception, SystemExit)
    for debugged in (["--debug", *failing], [*failing, "--debug"]):
        assert isinstance(CliRunner().invoke(app, debugged).exception, UsageError)


def on_terminal(program: str, **environment: str) -> str:
    """What Python code writes to a terminal."""
    leader, follower = pty.openpty()
    env = {**os.environ, "TERM": "xterm", **environment}
    subprocess.run([sys.executable, "-c", program], stdout=follower, env=env, check=True)
    os.close(follower)
    with os.fdopen(leader, "rb") as screen:
        return screen.read1(65536).decode()


TABLE = "from avse_cli.tables import write_table; write_table([('ok', 'a'), ('missing', 'b')])"


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32mok" in on_terminal(TABLE)
    assert "\x1b" not in on_terminal(TABLE, NO_COLOR="1")
    assert "\x1b" not in on_terminal(TABLE, TERM="dumb")
    elsewhere = subprocess.run([sys.executable, "-c", TABLE], capture_output=True, text=True, check=True)
    assert elsewhere.stdout == "ok       a\nmissing  b\n"


def test_an_empty_table_is_nothing() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as screen:
        write_table([])
    assert screen.getvalue() == ""


@pytest.mark.parametrize("typed", ["avse mod", "avse models ver", "avse enhance --mod"])
def test_shell_completion(typed: str) -> None:
    words = typed.split()
    env = {**os.environ, "_AVSE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    done = run(env=env)
    assert done.stderr == ""
    expected = {"avse mod": "models", "avse models ver": "verify", "avse enhance --mod": "--model"}[typed]
    assert expected in done.stdout.split()


def test_completion_can_be_installed() -> None:
    env = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = run("--show-completion", "bash", env=env)
    assert done.returncode == 0
    assert "complete" in done.stdout
    assert "avse" in done.stdout


# Poor surroundings --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poor(tiny_model: Path) -> Iterator[dict[str, Any]]:
    """A C locale, a home and a cache that cannot be written; as another user where we are root. A folder to work in."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    home = folder / "home"
    home.mkdir()
    home.chmod(0o555)
    shutil.copy(tiny_model, folder / "tiny.safetensors")
    (folder / "tiny.safetensors").chmod(0o644)
    write_recording(folder / "Gespräch in Łódź.mp4", coloured_noise(8000))
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "LC_ALL": "C"}
    settings: dict[str, Any] = {"cwd": folder, "env": {**env, "TMPDIR": str(folder)}}
    if os.geteuid() == 0:
        as_nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([sys.executable, "-c", "import avse, torch"], check=True, **settings, **as_nobody)
            settings |= as_nobody
    yield settings
    home.chmod(0o755)
    shutil.rmtree(folder)


def test_enhance_in_poor_surroundings(poor: dict[str, Any]) -> None:
    done = run("enhance", "Gespräch in Łódź.mp4", "-o", "Ergebnis für Łódź.flac", "--model", "tiny.safetensors", **poor)
    assert (done.returncode, done.stderr) == (0, "")
    assert (poor["cwd"] / "Ergebnis für Łódź.flac").stat().st_size > 1000
    assert list((poor["cwd"] / "home").iterdir()) == []


@pytest.mark.parametrize("command", ["--help", "--version", "models", "doctor"])
def test_other_commands_in_poor_surroundings(poor: dict[str, Any], command: str) -> None:
    done = run(*command.split(), **poor)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_samples_in_poor_surroundings(poor: dict[str, Any]) -> None:
    done = run("samples", "made", "-q", **poor)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list((poor["cwd"] / "made").iterdir())) == 4


def test_a_name_of_any_bytes_can_be_printed(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\xfe \n.mp4"
    done = run("enhance", name, "-o", tmp_path / "out.wav", text=False)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert rb"\udcff\udcfe" in done.stderr


def test_importing_the_library_is_silent_and_loads_nothing_heavy() -> None:
    program = "import avse, sys; print(sorted({'torch', 'numpy', 'scipy', 'onnxruntime', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")
