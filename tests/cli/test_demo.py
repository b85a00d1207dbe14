"""``avse demo``: it needs nothing but what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from avse_cli.main import app


def test_demo_enhances_its_samples_and_ends_with_the_line_to_type(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("avse.data.synthetic.clips.SAMPLE_SECONDS", 2.0)
    shown = CliRunner().invoke(app, ["demo", "--model", str(tiny_model)])
    assert shown.exit_code == 0, shown.output
    names = ("talker-with-second-talker", "talker-with-noise")
    expected = {f"{name}{suffix}" for name in names for suffix in (".mp4", ".reference.wav", ".enhanced.mp4")}
    assert {path.name for path in (tmp_path / "avse-demo").iterdir()} == expected
    assert shown.stdout.count("SI-SDR") == 2
    assert shown.stdout.splitlines()[-1] == "    avse enhance YOUR-VIDEO.mp4"
    again = CliRunner().invoke(app, ["demo", "--model", str(tiny_model)])
    assert (again.exit_code, "already exists" in again.stderr) == (2, True)
