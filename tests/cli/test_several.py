"""Outputs beside the recordings, several recordings in one call, everyone and all people as typed."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from panels import make_lips_readable, write_panel
from recordings import coloured_noise, ffmpeg, write_recording
from typer.testing import CliRunner

from avse.faces import contact_sheet
from avse.io import reader
from avse.io.formats import VIDEO_OUTPUTS
from avse_cli.main import app
from avse_cli.outputs import enhanced_suffix
from avse_cli.progress import progress, say


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The left one speaks for 3 s, then the right one."""
    path = tmp_path_factory.mktemp("panel") / "panel.mp4"
    write_panel(path, np.arange(150) < 75, np.arange(150) >= 75)
    return path


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_process: None) -> Any:
    """Type a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    make_lips_readable(monkeypatch)
    monkeypatch.setattr("avse.weights.pretrained.find", lambda name: tiny_model)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def assert_refused(shown: Any, *words: str) -> None:
    assert (shown.exit_code, shown.stdout, len(shown.stderr.splitlines())) == (2, "", 2), shown.output
    for word in words:
        assert word in shown.stderr


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.MP4", ".mp4"),
        ("a.mkv", ".mkv"),
        ("a.wav", ".wav"),
        ("a.flac", ".flac"),
        ("a.avi", ".mkv"),
        ("a.amr", ".wav"),
    ],
)
def test_output_is_of_the_kind_of_the_recording(name: str, suffix: str) -> None:
    assert enhanced_suffix(Path(name)) == suffix


@pytest.mark.parametrize("suffix", sorted(VIDEO_OUTPUTS | {".webm", ".3gp"}))
def test_video_file_without_video_becomes_audio(run: Any, tmp_path: Path, suffix: str) -> None:
    """Two recordings do not share the output, and a suffix that is asked for is not changed."""
    codec = {".webm": "libopus", ".mkv": "flac"}.get(suffix, "aac")
    write_recording(tmp_path / f"talk{suffix}", coloured_noise(8000), None, "-c:a", codec)
    shown = run("enhance", f"talk{suffix}")
    assert shown.exit_code == 0, shown.output
    assert files(tmp_path) == {f"talk{suffix}", "talk.enhanced.wav"}
    write_recording(tmp_path / "talk.wav", coloured_noise(8000))
    assert_refused(run("enhance", f"talk{suffix}", "talk.wav", "-f"), "both be written to talk.enhanced.wav")
    assert_refused(run("enhance", f"talk{suffix}", "--suffix", "mkv"), "has no video to copy")


def test_without_a_name_the_output_is_beside_the_recording(run: Any, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    shutil.copy(clip, tmp_path / "videos/talk.mp4")
    assert run("enhance", "videos/talk.mp4").exit_code == 0
    assert files(tmp_path) == {"videos/talk.mp4", "videos/talk.enhanced.mp4"}
    assert reader.probe(tmp_path / "videos/talk.enhanced.mp4").video is not None
    assert_refused(run("enhance", "videos/talk.mp4"), "already exists", "--force")
    assert run("enhance", "videos/talk.mp4", "--force").exit_code == 0
    assert run("enhance", "videos/talk.mp4", "--suffix", "wav").exit_code == 0
    assert "videos/talk.enhanced.wav" in files(tmp_path)


def test_several_recordings_in_one_call(run: Any, tmp_path: Path) -> None:
    for name in ("a.wav", "b.flac"):
        write_recording(tmp_path / name, coloured_noise(8000))
    (tmp_path / "broken.wav").write_text("no recording")
    shown = run("enhance", "a.wav", "broken.wav", "b.flac", "--json")
    assert shown.exit_code == 1
    assert [json.loads(line)["output"] for line in shown.stdout.splitlines()] == ["a.enhanced.wav", "b.enhanced.flac"]
    assert "broken.wav" in shown.stderr
    assert run("enhance", "a.wav", "b.flac", "-o", "out", "-q").exit_code == 0
    assert {"out/a.enhanced.wav", "out/b.enhanced.flac"} <= files(tmp_path)


def test_what_several_recordings_cannot_share_is_refused_before_any_work(run: Any, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav", "sub/a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_recording(tmp_path / name, coloured_noise(8000))
    before = files(tmp_path)
    assert_refused(run("enhance", "a.wav", "b.wav", "-o", "c.wav"), "c.wav", "folder")
    assert_refused(run("enhance", "a.wav", "sub/a.wav", "-o", "out"), "both be written to out/a.enhanced.wav")
    assert_refused(run("enhance", "a.wav", "b.wav", "--report", "page.html"), "--report")
    assert_refused(run("enhance", "a.wav", "-", "-q"), "-o")
    assert files(tmp_path) == before


def test_no_output_replaces_another_input(run: Any, tmp_path: Path) -> None:
    for name in ("a.wav", "a.enhanced.wav", "clean.wav"):
        write_recording(tmp_path / name, coloured_noise(8000))
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    for recordings in (["a.wav", "a.enhanced.wav"], ["a.enhanced.wav", "a.wav"]):
        assert_refused(run("enhance", *recordings, "--force"), "a.enhanced.wav is an input", "never replaced")
    with_reference = ["enhance", "a.wav", "-o", "b.wav", "--reference", "clean.wav", "--force"]
    assert_refused(run(*with_reference, "--background", "clean.wav"), "clean.wav is an input")
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


@pytest.mark.parametrize("suffix", [[], ["--suffix", "mp4"]], ids=["wav", "mp4"])
def test_files_of_people_never_replace_or_remove_an_input(
    run: Any, panel: Path, tmp_path: Path, suffix: list[str]
) -> None:
    source, references = tmp_path / "people/face-1.mp4", tmp_path / "refs"
    source.parent.mkdir()
    shutil.copy(panel, source)
    references.mkdir()
    soundfile.write(references / "face-1.wav", reader.load_audio(reader.probe(panel)), 16000)
    for force in ([], ["--force"]):
        shown = run("enhance", source, "--speaker", "all", "-o", "people", *suffix, *force)
        assert_refused(shown, "people/face-1.mp4 is an input and is never replaced")
    named = ["enhance", panel, "--speaker", "all", "-o", "refs", "--reference", "refs", "--force", *suffix]
    assert_refused(run(*named), "both the reference and the output")
    assert source.read_bytes() == panel.read_bytes()
    assert files(tmp_path) == {"people/face-1.mp4", "refs/face-1.wav"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["enhance", "videos"], "avse batch videos -o enhanced"),
        (["batch", "talk.wav", "-o", "out"], "avse enhance talk.wav"),
        (["talk.wav"], "avse enhance talk.wav"),
        (["videos"], "avse batch videos -o enhanced"),
        (["enhance", "talk.wav", "--speaker", "all", "-o", "x.mp4"], "--speaker all -o x --suffix mp4"),
    ],
    ids=" ".join,
)
def test_wrong_command_names_the_right_one(run: Any, tmp_path: Path, arguments: list[str], line: str) -> None:
    (tmp_path / "videos").mkdir()
    write_recording(tmp_path / "videos/a.wav", coloured_noise(8000))
    write_recording(tmp_path / "talk.wav", coloured_noise(8000))
    assert_refused(run(*arguments), line)
    if line.startswith("avse "):
        done = run(*line.split()[1:], "-q")
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    "command", [["faces", "small.mkv"], ["enhance", "small.mkv", "--speaker", "all", "-o", "people"]], ids=" ".join
)
def test_video_that_cannot_be_decoded_is_not_called_missing(run: Any, tmp_path: Path, command: list[str]) -> None:
    still = np.full((25, 4, 4), 99, np.uint8)
    write_recording(tmp_path / "small.mkv", coloured_noise(16000), still, "-c:v", "ffv1", "-c:a", "flac")
    shown = run(*command)
    assert (shown.exit_code, shown.stdout, len(shown.stderr.splitlines())) == (1, "", 2)
    assert "The video of small.mkv cannot be decoded: its frames have 4 x 4 pixels" in shown.stderr


def test_faces_names_the_audio_track_that_was_used(run: Any, panel: Path, tmp_path: Path) -> None:
    ffmpeg("-i", panel, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", tmp_path / "two.mkv")
    for quiet in ([], ["-q"]):
        shown = run("faces", "two.mkv", *quiet)
        assert (shown.exit_code, shown.stderr.count("track 1 of 2")) == (0, 1)


@pytest.mark.parametrize("word", ["All", "ALL "])
def test_speaker_words_may_be_in_capitals(run: Any, panel: Path, tmp_path: Path, word: str) -> None:
    assert run("enhance", panel, "--speaker", word, "-o", "people", "-q").exit_code == 0
    assert "people/face-1.wav" in files(tmp_path)


def test_who_was_removed_is_a_line_for_each(run: Any, panel: Path, tmp_path: Path) -> None:
    lines = run("enhance", panel, "-o", "left.wav", "--speaker", "left").stdout.splitlines()
    assert lines[1].endswith("seen 100% of the time.")
    assert "(right) also speaks 0:0" in lines[2]
    shown = run("enhance", panel, "-o", "both.wav", "--speaker", "everyone", "--background", "rest.wav", "--json")
    summary = json.loads(shown.stdout)
    assert summary["speakers"] == [1, 2]
    assert all(face["speech_seconds"] > 1 for face in summary["faces"])
    both, rest = (soundfile.read(tmp_path / name)[0] for name in ("both.wav", "rest.wav"))
    np.testing.assert_allclose(both + rest, reader.load_audio(reader.probe(panel))[:, 0], atol=1e-4)


def test_all_people_with_videos_scores_loudness_and_a_page(run: Any, panel: Path, tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    mixture = reader.load_audio(reader.probe(panel))[:, 0]
    soundfile.write(tmp_path / "clean/face-1.wav", mixture, 16000)
    shown = run(
        "enhance", panel, "--speaker", "all", "-o", "people", "--suffix", "mkv", "--loudness", "-30",
        "--strength", "0.9",
        "--report", "page.html", "--reference", "clean", "--background", "rest.wav",
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    assert files(tmp_path / "people") == {"face-1.mkv", "face-1.png", "face-2.mkv", "face-2.png", "faces.json"}
    facts = json.loads((tmp_path / "people/faces.json").read_text())
    assert [("scores" in face) for face in facts["faces"]] == [True, False]
    page = (tmp_path / "page.html").read_text()
    for words in ('id="face-1"', 'id="face-2"', "Face 1 (", "Speaks ", "SI-SDR"):
        assert words in page
    assert "SI-SDR" in shown.stdout
    assert (tmp_path / "rest.wav").is_file()


def test_all_people_beside_the_recording(run: Any, panel: Path, tmp_path: Path) -> None:
    shutil.copy(panel, tmp_path / "talk.mp4")
    assert run("enhance", "talk.mp4", "--speaker", "all", "-q").exit_code == 0
    assert {"talk.faces/face-1.wav", "talk.faces/faces.json"} <= files(tmp_path)


def test_people_of_a_whole_folder(run: Any, panel: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(panel, tmp_path / "in" / name)
    mixture = reader.load_audio(reader.probe(panel))[:, 0]
    (tmp_path / "clean/a").mkdir(parents=True)
    soundfile.write(tmp_path / "clean/a/face-2.wav", mixture, 16000)
    options = ("in", "--jobs", "1", "-q", "--reference-dir", "clean")
    done = run("batch", *options, "-o", "each", "--speaker", "all")
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "each/results.jsonl").read_text().splitlines()
    rows = {row["item"]: row["scores"] for row in map(json.loads, lines)}
    assert rows["b.mp4"]["reason"].endswith("clean/b.")
    faces = json.loads((tmp_path / "each/a/faces.json").read_text())["faces"]
    assert [("scores" in face) for face in faces] == [False, True]
    assert rows["a.mp4"]["after"] == pytest.approx(faces[1]["scores"]["after"])
    expected = {f"{name}/{file}" for name in "ab" for file in ("face-1.wav", "face-2.wav", "faces.json")}
    assert expected <= files(tmp_path / "each")
    again = json.loads(run("batch", *options, "-o", "each", "--speaker", "all", "--json").stdout)
    assert (again["done"], again["skipped"]) == (0, 2)
    assert run("batch", *options[:-2], "-o", "both", "--speaker", "everyone").exit_code == 0
    assert {"a.wav", "b.wav"} <= files(tmp_path / "both")
    assert_refused(run("batch", "in", "-o", "x", "--speaker", "all", "--no-video"), "--no-video")


def test_who_speaks_when_as_rttm_and_contact_sheet(run: Any, panel: Path, tmp_path: Path) -> None:
    database = pytest.importorskip("pyannote.database.util")
    shown = run("faces", panel, "-o", "sheet.png", "--rttm", "who speaks.rttm", "--json")
    assert shown.exit_code == 0, shown.output
    facts = json.loads(shown.stdout)["faces"]
    (annotation,) = database.load_rttm(str(tmp_path / "who speaks.rttm")).values()
    assert annotation.uri == "panel"
    for face in facts:
        timeline = annotation.label_timeline(f"face-{face['number']}")
        found = [(segment.start, segment.end) for segment in timeline]
        np.testing.assert_allclose(found, face["speech_intervals_seconds"], atol=1e-3)
    from PIL import Image, ImageColor

    pixels = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    assert np.abs(pixels[:200, :, 0] - pixels[:200, :, 2]).max() > 20  # the heads have colour
    for k, face in enumerate(facts):
        top = len(pixels) - contact_sheet.AXIS - contact_sheet.ROW * (len(facts) - k) + contact_sheet.THUMBNAIL
        bar = pixels[top + contact_sheet.BAR // 2 + contact_sheet.MARGIN // 2, contact_sheet.LABEL :]
        speaks = np.abs(bar - ImageColor.getrgb(contact_sheet.COLOURS[k])).sum(1) == 0
        assert speaks[: -contact_sheet.MARGIN].mean() == pytest.approx(face["speech_share"], abs=0.02)
    assert_refused(run("faces", panel, "--rttm", "who speaks.rttm"), "exists")


class Terminal:
    """Standard error as a terminal that keeps what is written."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize(
    ("seconds", "text"), [(59.94, "0:59.9"), (59.96, "1:00.0"), (119.96, "2:00.0"), (3599.96, "1:00:00")]
)
def test_times_are_rounded_before_they_are_split(seconds: float, text: str) -> None:
    assert contact_sheet.clock(seconds) == text


def test_messages_appear_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", screen)
    with progress(False) as show:
        show("enhancing", 1.0, 4.0)
        say("avse: [b]in/broken.mp4[/b] is not a recording\n      Check it.")
        show("enhancing", 2.0, 4.0)
    lines = screen.text.replace("\r", "\n").split("\n")
    assert any(line.endswith("avse: [b]in/broken.mp4[/b] is not a recording") for line in lines)
    assert not any("enhancing" in line and "avse:" in line for line in lines)
    assert os.linesep not in screen.text.rsplit("50 %", 1)[0][-1:]
