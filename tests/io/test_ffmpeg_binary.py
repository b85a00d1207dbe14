"""Which ffmpeg is used: the bundled one, whatever is on the PATH, unless AVSE_FFMPEG names another."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from recordings import coloured_noise, write_recording

from avse.errors import MissingError
from avse.io import ffmpeg_binary, reader
from avse.io.ffmpeg import ffmpeg_exe

AVSE = Path(sys.executable).with_name("avse")


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another ffmpeg, first on the PATH, that fails whatever it is asked."""
    monkeypatch.delenv("AVSE_FFMPEG", raising=False)
    return put_on_path(tmp_path / "bin", monkeypatch, "exit 9")


def put_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / "ffmpeg"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return program


def test_bundled_one_is_used_whatever_is_on_the_path(on_path: Path, tmp_path: Path) -> None:
    binary = ffmpeg_binary.find_ffmpeg()
    assert binary.source == "bundled"
    assert "imageio_ffmpeg" in binary.path
    assert reader.probe(write_recording(tmp_path / "a.wav", coloured_noise(1600))).audio is not None


def test_variable_of_imageio_changes_nothing(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(on_path))
    assert ffmpeg_binary.find_ffmpeg().source == "bundled"


def test_variable_names_another_by_path_or_by_name(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for named in (str(on_path), "ffmpeg"):
        monkeypatch.setenv("AVSE_FFMPEG", named)
        assert ffmpeg_binary.find_ffmpeg() == ffmpeg_binary.Binary(str(on_path), "AVSE_FFMPEG")
        assert ffmpeg_exe() == str(on_path)


def test_path_serves_where_none_is_bundled(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ffmpeg_binary, "_bundled", lambda: None)
    assert ffmpeg_binary.find_ffmpeg() == ffmpeg_binary.Binary(str(on_path), "PATH")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingError, match="ffmpeg was not found"):
        ffmpeg_binary.find_ffmpeg()


def test_variable_that_names_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSE_FFMPEG", "/nowhere/ffmpeg")
    with pytest.raises(MissingError, match="AVSE_FFMPEG=/nowhere/ffmpeg"):
        ffmpeg_binary.find_ffmpeg()


def test_hint_names_a_program_that_the_shell_finds(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ffmpeg_binary.shell_command("-i FILE") == "ffmpeg -i FILE"
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(ffmpeg_binary, "_bundled", lambda: "/a folder/ffmpeg-9")
    assert ffmpeg_binary.shell_command("-i FILE") == "'/a folder/ffmpeg-9' -i FILE"


@pytest.mark.parametrize(
    "script",
    [
        "echo 'ffmpeg: error while loading shared libraries: libavdevice.so.59: cannot open' >&2; exit 127",
        "echo 'Exec format error' >&2; exit 126",
        "kill -ILL $$",
    ],
)
def test_ffmpeg_that_does_not_start_is_no_broken_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    recording = write_recording(tmp_path / "a.wav", coloured_noise(1600))
    monkeypatch.setenv("AVSE_FFMPEG", str(put_on_path(tmp_path / "bin", monkeypatch, script)))
    with pytest.raises(MissingError, match="does not start") as error:
        reader.probe(recording)
    assert "unset AVSE_FFMPEG" in error.value.hint


def test_file_that_is_no_program_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = write_recording(tmp_path / "a.wav", coloured_noise(1600))
    program = tmp_path / "ffmpeg"
    program.write_bytes(b"\x7fELF nothing")
    program.chmod(0o755)
    monkeypatch.setenv("AVSE_FFMPEG", str(program))
    done = subprocess.run(
        [AVSE, "enhance", recording, "-o", tmp_path / "out.wav"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (3, 2)
    assert "does not start" in done.stderr
    assert not (tmp_path / "out.wav").exists()
