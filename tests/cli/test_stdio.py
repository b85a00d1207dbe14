"""Standard streams that are closed, as daemons and cron jobs have them: the work is done, and no file is harmed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from recordings import coloured_noise, write_recording

from avse.errors import UsageError
from avse_cli import stdio

AVSE = Path(sys.executable).with_name("avse")


def run(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", f"exec {AVSE} {words}"], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path: Path, tiny_model: Path) -> Path:
    write_recording(tmp_path / "in.wav", 0.1 * coloured_noise(4800))
    (tmp_path / "tiny.safetensors").symlink_to(tiny_model)
    return tmp_path


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_work_is_done_without_streams(closed: str, folder: Path) -> None:
    done = run(f"enhance in.wav -o out.wav --model tiny.safetensors {closed}", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert soundfile.info(folder / "out.wav").frames == 4800


def test_batch_without_streams(folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in.wav").rename(folder / "in" / "a.wav")
    done = run("batch in -o out -j 1 --model tiny.safetensors <&- >&- 2>&-", folder)
    assert done.returncode == 0
    assert soundfile.info(folder / "out" / "a.wav").frames == 4800


def test_pipe_that_is_closed_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("enhance in.wav -o - --model tiny.safetensors >&-", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2)
    assert "Standard output is closed" in done.stderr
    monkeypatch.setattr(stdio, "_closed", {"stdin"})
    with pytest.raises(UsageError, match="Standard input is closed"):
        stdio.open_ends(stdio.PIPE, folder / "out.wav")


def test_output_that_takes_nothing_is_two_lines(folder: Path) -> None:
    done = run("models list > /dev/full", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 2)
