"""The command as a whole: quick help, a version, two lines for an error, a bar on a terminal only."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import avse
from avse.errors import InputError, MissingError, UsageError
from avse.parallel.tasks import attempt
from avse.progress import silent
from avse_cli import main
from avse_cli.progress import progress

AVSE = Path(sys.executable).with_name("avse")

HELP_WITHOUT_TORCH = """
import sys
from typer.main import get_command
from typer.testing import CliRunner
from avse_cli.main import app
names = sorted(get_command(app).commands)
assert "enhance" in names
for command in ([], *([name] for name in names)):
    shown = CliRunner().invoke(app, [*command, "--help"])
    assert shown.exit_code == 0 and "Usage" in shown.output, shown.output
print(sorted({"torch", "torchaudio", "librosa", "numpy", "scipy", "onnxruntime"} & set(sys.modules)))
"""


def test_help_of_every_command_loads_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", HELP_WITHOUT_TORCH], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_installed_command_reports_its_version() -> None:
    done = subprocess.run([AVSE, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    versions = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert list(versions) == ["avse", "python", "torch", "torchaudio", "onnxruntime", "numpy", "ffmpeg", "platform"]
    assert versions["avse"] == avse.__version__
    assert versions["torch"] == metadata.version("torch")
    assert Path(versions["ffmpeg"].split("(")[1].rstrip(")")).is_file()


@pytest.mark.parametrize("arguments", [["--bogus"], ["bogus"], ["enhance"], ["enhance", "in.mp4", "--bogus"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    shown = CliRunner().invoke(main.app, arguments)
    assert shown.exit_code == 2
    assert "Usage" in shown.stderr
    assert shown.stdout == ""


def failing_app(failure: BaseException) -> typer.Typer:
    """The command's own group around a command that fails."""
    app = typer.Typer(cls=main.Group, pretty_exceptions_enable=False)
    app.callback()(main.main)

    @app.command()
    def fail() -> None:
        raise failure

    return app


@pytest.mark.parametrize(
    ("failure", "code"), [(InputError("bad", "do"), 1), (UsageError("bad", "do"), 2), (MissingError("bad", "do"), 3)]
)
def test_failure_is_two_lines_and_its_own_code(failure: Exception, code: int) -> None:
    shown = CliRunner().invoke(failing_app(failure), ["fail"])
    assert (shown.exit_code, shown.stdout, shown.stderr) == (code, "", "avse: bad\n      do\n")
    debugged = CliRunner().invoke(failing_app(failure), ["--debug", "fail"])
    assert debugged.exception is failure


def test_interruption_is_130() -> None:
    shown = CliRunner().invoke(failing_app(KeyboardInterrupt()), ["fail"])
    assert shown.exit_code == 130
    assert shown.stderr == "avse: interrupted; no incomplete file was left.\n"


def test_reader_that_leaves_early_is_no_traceback() -> None:
    code = "from avse_cli.main import app; app(['--help'])"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run([sys.executable, "-c", code], stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_is_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for screen, quiet, expected in [
        (Terminal(), False, True),
        (Terminal(), True, False),
        (io.StringIO(), False, False),
    ]:
        monkeypatch.setattr(sys, "stderr", screen)
        with progress(quiet) as show:
            show("enhancing", 1.0, 4.0)
            show("enhancing", 3.0, 4.0)
        assert ("enhancing" in screen.getvalue()) == expected
        assert bool(screen.getvalue()) == expected


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory:\nyou tried"),
        RuntimeError("CUDA out of memory."),
    ],
)
def test_memory_that_runs_out_is_two_lines(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("avse.weights.pretrained.names", run_out)
    shown = CliRunner().invoke(main.app, ["models", "list"])
    assert (shown.exit_code, len(shown.stderr.splitlines())) == (3, 2)
    assert shown.stderr.startswith("avse: Memory ran out: ")


def test_memory_that_runs_out_costs_one_item() -> None:
    def run_out(item: int, report: object) -> None:
        raise MemoryError

    kind, error = attempt(run_out, 1, silent)
    assert kind == "failed"
    assert "memory ran out" in error.message
    assert "--jobs" in error.hint


def test_current_folder_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    shown = CliRunner().invoke(main.app, ["models"])
    assert (shown.exit_code, len(shown.stderr.splitlines())) == (2, 2)
    assert "current folder" in shown.stderr
