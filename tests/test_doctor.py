"""``avse doctor``: every fault that a machine can have is named, and what to type against it."""

from __future__ import annotations

import builtins
import importlib
import json
import os
import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import remembered
import torch
from typer.testing import CliRunner

from avse import doctor, installation
from avse.doctor import ABSENT, MISSING, OK, WARNING, Finding
from avse.faces.detection import Detector
from avse.io import ffmpeg, ffmpeg_binary
from avse.weights import pretrained
from avse_cli.main import app

AVSE = Path(sys.executable).with_name("avse")


def only(check: Callable[[], Any]) -> Finding:
    (finding,) = doctor._guarded(check)
    return finding


def fake_ffmpeg(path: Path, decoders: str = "", encoders: str = "", status: int = 0) -> Path:
    """A program that answers as ffmpeg does."""
    path.write_text(f"""#!{sys.executable}
import sys
listed = {{"-decoders": {decoders!r}, "-encoders": {encoders!r}}}
if "-version" in sys.argv:
    print("ffmpeg version 1.2.3 Copyright")
for option in sys.argv:
    for name in listed.get(option, "").split():
        print(f" V....D {{name}}   A codec")
sys.exit({status})
""")
    path.chmod(0o755)
    return path


@pytest.fixture
def use_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    return lambda path: monkeypatch.setattr(ffmpeg, "ffmpeg_exe", lambda: str(path))


def hide(monkeypatch: pytest.MonkeyPatch, package: str, error: Exception) -> None:
    """Importing the package fails."""
    real, real_module = builtins.__import__, importlib.import_module

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.partition(".")[0] == package:
            raise error
        return real(name, *rest, **named)

    def refuse_module(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == package:
            raise error
        return real_module(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(importlib, "import_module", refuse_module)


def test_this_machine_is_fit() -> None:
    done = subprocess.run([AVSE, "doctor", "--json"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["fit"] is True
    states = {finding["name"]: finding["state"] for finding in report["findings"]}
    assert {states[name] for name in ("python", "torch", "ffmpeg", "decoders", "face detector", "model avse")} == {OK}
    assert report["versions"]["torch"]
    assert all(finding["hint"] for finding in report["findings"] if finding["state"] in (WARNING, MISSING))


@pytest.mark.parametrize(("version", "state"), [((3, 9), MISSING), ((3, 10), OK), ((3, 12), OK), ((3, 13), MISSING)])
def test_python(monkeypatch: pytest.MonkeyPatch, version: tuple[int, int], state: str) -> None:
    kind = namedtuple("kind", "major minor micro")
    monkeypatch.setattr(sys, "version_info", kind(*version, 1))
    assert only(doctor._python).state == state


def test_torch_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "torch", OSError("libcudart.so.13: cannot open shared object file"))
    finding = only(doctor._torch)
    assert finding.state == MISSING
    assert "libcudart" in finding.detail
    assert "pip install" in finding.hint


@pytest.mark.parametrize(
    ("torch_version", "ours", "state", "word"),
    [
        ("2.11.0+cu130", "2.11.0", OK, "loads"),
        ("2.11.0+cu130", "2.10.0+cu130", WARNING, "does not match"),
        ("2.11.0", None, WARNING, "not installed"),
    ],
)
def test_torchaudio_that_is_missing_or_of_another_version_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, torch_version: str, ours: str | None, state: str, word: str
) -> None:
    monkeypatch.setattr(doctor, "_installed", {"torch": torch_version, "torchaudio": ours}.get)
    finding = only(doctor._torchaudio)
    assert finding.state == state
    assert word in finding.detail


@pytest.mark.parametrize("ours", ["2.11.0", "2.10.0"])
def test_torchaudio_that_does_not_load_is_a_warning(monkeypatch: pytest.MonkeyPatch, ours: str) -> None:
    """Whatever its version: `avse enhance` does not need it."""
    monkeypatch.setattr(doctor, "_installed", {"torch": "2.11.0+cu130", "torchaudio": ours}.get)
    hide(monkeypatch, "torchaudio", OSError("Could not load this library: libtorchaudio.so"))
    finding = only(doctor._torchaudio)
    assert finding.state == WARNING
    assert "Could not load" in finding.detail
    assert "torch==" in finding.hint
    assert "+" not in finding.hint


@pytest.mark.parametrize(
    ("driver", "cuda", "hidden", "word"),
    [
        (False, "13.0", None, "no NVIDIA driver"),
        (True, None, None, "CPU only"),
        (True, "13.0", "", "CUDA_VISIBLE_DEVICES"),
        (True, "13.0", None, "CUDA 13.0"),
    ],
)
def test_why_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, driver: bool, cuda: str | None, hidden: str | None, word: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(Path, "exists", lambda path: driver)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    finding = only(doctor._gpu)
    assert finding.state == ABSENT
    assert word in finding.detail


def test_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    about = namedtuple("about", "name total_memory")("GPU X", 24e9)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
    assert only(doctor._gpu) == Finding("gpu", OK, "GPU X, 24 GB")


def test_ffmpeg_that_lacks_decoders(tmp_path: Path, use_ffmpeg: Callable[[Path], None]) -> None:
    every = " ".join(doctor.USUAL_DECODERS)
    use_ffmpeg(fake_ffmpeg(tmp_path / "whole", f"{every} libdav1d", "aac flac libmp3lame libopus libvorbis"))
    assert only(doctor._codecs).state == OK
    use_ffmpeg(fake_ffmpeg(tmp_path / "lesser", every.replace("hevc", ""), "aac flac libmp3lame libopus libvorbis"))
    finding = only(doctor._codecs)
    assert (finding.state, finding.detail) == (WARNING, "missing: av1 hevc")
    use_ffmpeg(fake_ffmpeg(tmp_path / "empty"))
    decoders, encoders = doctor._codecs()
    assert (decoders.state, encoders.state) == (MISSING, WARNING)
    assert "h264" in decoders.detail
    assert "aac flac" in encoders.detail


def test_ffmpeg_that_does_not_run(tmp_path: Path, use_ffmpeg: Callable[[Path], None]) -> None:
    (tmp_path / "text").write_text("no program")
    use_ffmpeg(tmp_path / "text")
    assert only(doctor._ffmpeg).state == MISSING
    assert doctor.versions()["ffmpeg"] == "not found"


def test_no_ffmpeg_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("AVSE_FFMPEG", raising=False)
    monkeypatch.setattr(ffmpeg_binary, "_bundled", lambda: None)
    finding = only(doctor._ffmpeg)
    assert finding.state == MISSING
    assert "imageio-ffmpeg" in finding.hint


def test_ffmpeg_reports_which_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = fake_ffmpeg(tmp_path / "ffmpeg")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("AVSE_FFMPEG", raising=False)
    bundled = only(doctor._ffmpeg)
    assert bundled.state == OK
    assert "bundled with imageio-ffmpeg" in bundled.detail
    assert bundled.detail.endswith(f"{other} on the PATH is not used")
    monkeypatch.setenv("AVSE_FFMPEG", str(other))
    assert only(doctor._ffmpeg) == Finding("ffmpeg", OK, f"1.2.3 ({other}), set by AVSE_FFMPEG")
    monkeypatch.delenv("AVSE_FFMPEG")
    monkeypatch.setattr(ffmpeg_binary, "_bundled", lambda: None)
    assert only(doctor._ffmpeg).state == WARNING


def test_no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Detector, "__init__", remembered.LOAD)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    finding = only(doctor._detector)
    assert finding.state == MISSING
    assert "pip install" in finding.hint


def test_models_that_are_damaged_or_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pretrained, "files", lambda package: tmp_path)
    assert only(doctor._models).state == MISSING
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    assert [(found.name, found.state) for found in doctor._models()] == [
        ("model avse", MISSING), ("model other", WARNING),
    ]  # fmt: skip


def test_little_space_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage(1, 1, 1000))
    monkeypatch.setattr(doctor, "_available_memory", lambda: 1e8)
    assert {finding.state for finding in doctor._disk()} == {WARNING}
    assert only(doctor._memory).state == WARNING
    monkeypatch.setattr(doctor, "_available_memory", lambda: None)
    assert only(doctor._memory).state == OK


def test_extras_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    listed = project.split("[project.optional-dependencies]")[1].split("\n[")[0]
    assert set(re.findall(r"^(\w+) = \[", listed, re.MULTILINE)) == {*doctor.EXTRAS, "docs", "dev"}
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    findings = list(doctor._extras())
    assert {finding.state for finding in findings} == {ABSENT}
    hints = [installation.install_hint(extra).replace("Type", "If you want it") for extra in doctor.EXTRAS]
    assert [finding.hint for finding in findings] == hints


def test_a_check_that_fails_is_a_finding() -> None:
    def _strange() -> Any:
        raise RuntimeError("libfoo\nis broken")

    assert only(_strange).state == MISSING
    assert only(_strange).detail == "RuntimeError: libfoo is broken"


def test_missing_is_3_and_reports_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [Finding("a", OK, "fine"), Finding("b", MISSING, "gone", "Type: c"), Finding("d", ABSENT, "no")]
    monkeypatch.setattr(doctor, "examine", lambda: bad)
    shown = CliRunner().invoke(app, ["doctor"])
    assert (shown.exit_code, shown.stderr) == (3, "")
    assert shown.stdout.splitlines() == ["ok       a  fine", "missing  b  gone", "absent   d  no", "b: Type: c"]
    assert CliRunner().invoke(app, ["doctor", "-q"]).stdout.splitlines() == ["missing  b  gone", "b: Type: c"]
    assert json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)["fit"] is False
    monkeypatch.setattr(doctor, "examine", lambda: [*bad[:1], Finding("e", WARNING, "low", "Type: f")])
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


def test_quiet_and_fit_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("a", OK, "fine")])
    shown = CliRunner().invoke(app, ["doctor", "-q"])
    assert (shown.exit_code, shown.stdout) == (0, "")


def test_version_loads_no_torch() -> None:
    code = (
        "import sys; from avse.doctor import versions; versions(); print({'torch', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "set()\n"
