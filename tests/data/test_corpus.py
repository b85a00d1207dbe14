"""Where prepared clips may be: in a folder apart from the recordings, under names that a file can have."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import soundfile
from typer.testing import CliRunner

from avse.data.corpus import sources
from avse.data.prepared_clips import find_clips
from avse.data.synthetic.speech import speak
from avse_cli.main import app

pytestmark = pytest.mark.usefixtures("one_process")


def paths_below(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


@pytest.mark.parametrize(
    ("data", "output"),
    [
        ("vox", "vox"), ("vox", "vox/dev/mp4"), ("vox/dev/mp4", "vox/dev/mp4"), ("vox", "link"),
        ("vox", "vox/dev/mp4/id1"), ("link", "vox/dev/mp4"), ("linked", "disk"), ("inner/inner", "inner"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("options", [[], ["--shards"], ["--dry-run"]])
def test_an_output_among_the_recordings_is_refused(data: str, output: str, options: list[str], tmp_path: Path) -> None:
    for name in ("vox/dev/mp4/id1/a/1.wav", "disk/id1/a/1.wav", "inner/inner/inner/1.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        soundfile.write(tmp_path / name, speak(0.5).waveform, 16000)
    (tmp_path / "link").symlink_to("vox")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "id1").symlink_to(tmp_path / "disk" / "id1")
    before = paths_below(tmp_path)
    shown = CliRunner().invoke(app, ["prepare", str(tmp_path / data), "-o", str(tmp_path / output), *options])
    assert (shown.exit_code, shown.stdout, len(shown.stderr.splitlines())) == (2, "", 2)
    assert paths_below(tmp_path) == before


@pytest.mark.parametrize("output", ["tree/cache", "tree/id1/cache", "tree/../cache"])
def test_an_output_beside_the_recordings_or_left_out_of_them_is_fine(output: str, tmp_path: Path) -> None:
    recording = tmp_path / "tree" / "id1" / "1.wav"
    recording.parent.mkdir(parents=True)
    soundfile.write(recording, speak(0.5).waveform, 16000)
    for _ in range(2):
        shown = CliRunner().invoke(
            app, ["prepare", str(tmp_path / "tree"), "-o", str(tmp_path / output), "--shards", "-j", "1"]
        )
        assert shown.exit_code == 0, shown.output
    assert recording.exists()
    assert [len(clips) for clips in find_clips(tmp_path / output).values()] == [1]


def test_names_beyond_what_a_file_may_have_are_cut_and_differ(tmp_path: Path) -> None:
    names = ["a" * 246 + "/1", "a" * 250 + "/1", "a" * 250 + "/2", "\u00e9" * 120 + "/" + "\u00e9" * 120]
    names += [os.fsdecode(b"\xe9" * 240) + "/long", "z" * 247]
    recording = tmp_path / "1.wav"
    soundfile.write(recording, speak(0.2).waveform, 16000)
    for name in names:
        (tmp_path / "tree" / "id1" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(recording, tmp_path / "tree" / "id1" / f"{name}.wav")
    (tmp_path / "tree" / ("s" * 252)).mkdir()
    shutil.copy(recording, tmp_path / "tree" / ("s" * 252) / "1.wav")
    arguments = ["prepare", str(tmp_path / "tree"), "-o", str(tmp_path / "cache"), "--shards", "-j", "1"]
    for _ in range(2):
        shown = CliRunner().invoke(app, arguments)
        assert shown.exit_code == 0, shown.output
        assert "1 in a speaker's folder of too long a name" in shown.stderr
    assert [len(clips) for clips in find_clips(tmp_path / "cache").values()] == [len(names)]
    targets = [target.name for _, target in sources(tmp_path / "tree", tmp_path / "cache")]
    assert all(len(os.fsencode(target)) <= 255 for target in targets)
    assert {f"{'a' * 246}-1.npz", f"{'z' * 247}.npz"} < set(targets)
