"""``avse enhance`` as it is typed: every bad input in two lines, names of every kind, scores, reports, interruption."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from recordings import coloured_noise, ffmpeg, write_recording
from typer.testing import CliRunner

from avse.data.synthetic.clips import street_noise
from avse.data.synthetic.speech import speak
from avse.io import reader
from avse.reports import enhancement
from avse_cli.main import app

AVSE = Path(sys.executable).with_name("avse")
GREY = np.full((25, 96, 128), 128, np.uint8)
Run = Callable[..., Any]


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Type ``avse enhance`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str | Path, model: str | Path = tiny_model) -> Any:
        return CliRunner().invoke(app, ["enhance", "--model", str(model), *map(str, arguments)])

    return invoke


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_recording(tmp_path / "in.wav", coloured_noise(8000))


def assert_refused(shown: Any, code: int, *words: str) -> None:
    """Two lines on standard error, nothing on standard output, and the right code."""
    assert isinstance(shown.exception, SystemExit), shown.exception
    lines = shown.stderr.splitlines()
    assert (shown.exit_code, shown.stdout, len(lines)) == (code, "", 2), shown.stderr
    assert lines[0].startswith("avse: ")
    assert lines[1].startswith("      ")
    for word in words:
        assert word in shown.stderr


# What is wrong with the recording -----------------------------------------------------------------------------------


def empty(path: Path) -> None:
    path.touch()


def text(path: Path) -> None:
    path.write_text("This is no recording, whatever its name says.\n" * 100)


def video_without_audio(path: Path) -> None:
    write_recording(path, None, GREY)


def without_index(path: Path) -> None:
    write_recording(path, coloured_noise(16000), GREY)
    path.write_bytes(path.read_bytes()[:-2000])


def noise_of_bytes(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (empty, "empty"), (text, "not a recording"), (video_without_audio, "no audio track"), (without_index, "moov"),
        (noise_of_bytes, "not a recording"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("output", ["out.wav", "out.mp4"])
def test_bad_recording_is_1(run: Run, tmp_path: Path, make: Callable[[Path], None], word: str, output: str) -> None:
    make(tmp_path / "in.mp4")
    assert_refused(run("in.mp4", "-o", output), 1, "in.mp4", word)
    assert os.listdir(tmp_path) == ["in.mp4"]


# What is wrong with the command -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.mp4", "-o", "out.wav"], ["missing.mp4", "no file"]),
        ([".", "-o", "out.wav"], ["folder"]),
        (["in.wav", "-o", "taken.wav"], ["taken.wav", "--force"]),
        (["in.wav", "-o", "nowhere/out.wav"], ["nowhere", "mkdir"]),
        (["in.wav", "-o", "."], ["it is a folder"]),
        (["in.wav", "-o", "here/"], ["it is a folder", "here/clean.wav"]),
        (["in.wav", "-o", "folder.wav"], ["folder"]),
        (["in.wav", "-o", "out.avi"], [".avi", ".wav"]),
        (["in.wav", "-o", "out"], ["no file type", ".wav"]),
        (["in.wav", "-o", "out.mkv"], ["no video"]),
        (["in.wav", "-o", "in.wav", "--force"], ["never replaced"]),
        (["in.wav", "-o", "out.wav", "--report", "taken.json"], ["taken.json", "--force"]),
        (["in.wav", "-o", "out.wav", "--report", "in.wav", "--force"], ["never replaced"]),
        (["in.wav", "-o", "out.wav", "--report", "out.wav"], ["two different files"]),
        (["in.wav", "-o", "out.wav", "--report", "folder.wav/../out.wav"], ["two different files"]),
        (["in.wav", "-o", "out.wav", "--report", "here/out.wav"], ["two different files"]),
        (["in.wav", "-o", "out.wav", "--report", "report.pdf"], ["report.pdf", ".html, .htm, .json"]),
        (["in.wav", "-o", "out.wav", "--report", "nowhere/report.json"], ["mkdir"]),
        (["in.wav", "-o", "out.wav", "--reference", "missing.wav"], ["missing.wav"]),
        (["in.wav", "-o", "taken.wav", "--reference", "taken.wav", "--force"], ["never replaced"]),
        (["in.wav", "-o", "out.wav", "--device", "toaster"], ["toaster", "cpu"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_usage_is_2(run: Run, recording: Path, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "here").symlink_to(tmp_path)
    for name in ("taken.wav", "taken.json"):
        (tmp_path / name).write_text("old")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert_refused(run(*arguments), 2, *words)
    assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("model", ["unknown", "unknown.safetensors"])
def test_unknown_model_is_never_random_weights(run: Run, recording: Path, model: str) -> None:
    assert_refused(run(recording, "-o", "out.wav", model=model), 2, model)
    assert os.listdir(recording.parent) == ["in.wav"]


def test_model_that_is_none_is_1(run: Run, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no weights")
    assert_refused(run(recording, "-o", "out.wav", model="text.safetensors"), 1, "not an avse checkpoint")
    assert not (tmp_path / "out.wav").exists()


# Results and messages -----------------------------------------------------------------------------------------------


def test_talking_head(run: Run, clip: Path, tmp_path: Path) -> None:
    shown = run(clip, "-o", "clean.mp4")
    assert (shown.exit_code, shown.stderr) == (0, "")
    first, second = shown.stdout.splitlines()
    assert first.startswith(f"{clip} -> clean.mp4")
    assert first.endswith("; 16 kHz mono)")
    assert second.startswith("Face seen 100% of the time.")
    assert os.listdir(tmp_path) == ["clean.mp4"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: write_recording(path, coloured_noise(8000), GREY), "The video shows no moving face"),
        (lambda path: write_recording(path, coloured_noise(8000)), "There is no video"),
        (lambda path: write_recording(path, np.zeros(8000), GREY), "silent"),
        (lambda path: write_recording(path, coloured_noise(800), GREY[:2]), "The video shows no moving face"),
    ],
    ids=["no face", "audio only", "silent", "0.1 s"],
)  # fmt: skip
def test_recording_without_video_face_or_audio_is_reported(
    run: Run, tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    num_samples = len(reader.load_audio(reader.probe(make(tmp_path / "in.mkv"))))
    shown = run("in.mkv", "-o", "out.wav")
    assert shown.exit_code == 0, shown.output
    assert words in shown.stdout
    assert soundfile.info(tmp_path / "out.wav").frames == num_samples


@pytest.mark.parametrize(
    "name", ["with free space", "'single' \"double\"", "запись 録音", "concat:x", "$(id); `id` & |"]
)
def test_file_of_any_name(run: Run, recording: Path, name: str) -> None:
    recording.rename(f"{name}.wav")
    shown = run(f"{name}.wav", "-o", f"{name}.clean.wav")
    assert shown.exit_code == 0, shown.output
    assert sorted(os.listdir(recording.parent)) == sorted([f"{name}.wav", f"{name}.clean.wav"])


def test_leading_dash_goes_after_two_dashes(run: Run, recording: Path) -> None:
    recording.rename("-in.wav")
    assert run("-o", "-out.wav", "--", "-in.wav").exit_code == 0
    assert run("./-in.wav", "-o", "./-out.wav", "--force").exit_code == 0
    assert sorted(os.listdir(recording.parent)) == ["-in.wav", "-out.wav"]


def test_force_replaces_the_output(run: Run, recording: Path, tmp_path: Path) -> None:
    for name in ("out.wav", "report.json"):
        (tmp_path / name).write_text("old")
    assert run(recording, "-o", "out.wav", "--report", "report.json", "-f").exit_code == 0
    assert soundfile.info(tmp_path / "out.wav").frames == 8000
    assert json.loads((tmp_path / "report.json").read_text())["num_channels"] == 1


def test_quiet_prints_only_what_is_left_out(run: Run, recording: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.wav"
    soundfile.write(whole, np.tile(soundfile.read(recording)[0], 20), 16000)
    (tmp_path / "part.wav").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    spoken = run(tmp_path / "part.wav", "-o", "a.wav")
    quiet = run(tmp_path / "part.wav", "-o", "b.wav", "-q")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr.count("\n")) == (0, "", 1)
    assert "part.wav is truncated" in quiet.stderr
    assert "no video" in spoken.stdout
    assert "no video" not in quiet.stderr


def test_tracks_that_are_kept_are_not_reported_as_left_out(run: Run, tmp_path: Path) -> None:
    video = write_recording(tmp_path / "one.mkv", coloured_noise(16000), GREY, "-c:a", "flac")
    tracks = ("-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy")
    ffmpeg("-i", video, *tracks, tmp_path / "two.mkv")
    without = run(tmp_path / "two.mkv", "-o", "a.mkv", "-q")
    assert (without.exit_code, without.stderr.count("track 1 of 2")) == (0, 1)
    kept = run(tmp_path / "two.mkv", "-o", "b.mkv", "-q", "--keep-tracks")
    assert (kept.exit_code, kept.stdout, kept.stderr) == (0, "", "")


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_scores_and_report_are_of_the_enhanced_track_where_others_are_kept(
    run: Run, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = coloured_noise(32000)[::-1].copy()
    soundfile.write(tmp_path / "voice.wav", voice, 16000)
    video = write_recording(tmp_path / "one.mkv", coloured_noise(32000), GREY.repeat(2, 0), "-c:a", "flac")
    maps = ("-map", "0:v", "-map", "0:a", "-map", "1:a", "-c:v", "copy", "-c:a", "flac")
    ffmpeg("-i", video, "-i", tmp_path / "voice.wav", *maps, tmp_path / "two.mkv")
    played = []
    original = enhancement.make_player_tracks
    monkeypatch.setattr(
        enhancement, "make_player_tracks", lambda *args, **named: played.append(original(*args, **named)) or played[-1]
    )
    shown = run(
        tmp_path / "two.mkv", "-o", f"out{suffix}", "--audio-track", "2", "--keep-tracks", "--strength", "0",
        "--reference", "voice.wav", "--report", "r.html", "--json",
    )  # fmt: skip
    assert shown.exit_code == 0, shown.stderr
    scores = json.loads(shown.stdout)["scores"]
    assert scores["before"]["si_sdr"] > 40
    assert scores["after"]["si_sdr"] > 15
    files = [io.BytesIO(base64.b64decode(track.audio.partition(",")[2])) for track in played[0]]
    before, after = (soundfile.read(file)[0][1000:30000] for file in files)
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_quiet_and_json(run: Run, recording: Path) -> None:
    quiet = run(recording, "-o", "a.wav", "-q")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")
    spoken = run(recording, "-o", "b.wav", "--json", "--report", "report.json")
    assert (spoken.exit_code, spoken.stderr, spoken.stdout.count("\n")) == (0, "", 1)
    summary = json.loads(spoken.stdout)
    assert summary == json.loads(Path("report.json").read_text())
    expected = {"input": str(recording), "output": "b.wav", "model": "tiny", "duration_seconds": 0.5, "seen_share": 0.0}
    assert expected.items() <= summary.items()
    assert "no video" in summary["note"]


def test_video_can_be_left_out(run: Run, clip: Path) -> None:
    assert "was ignored" in run(clip, "-o", "a.wav", "--no-video").stdout


# Scores -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a voice in noise, whose audio begins 0.2 s after the video, and the voice alone."""
    folder = tmp_path_factory.mktemp("mixture")
    clean = speak(2.0).waveform
    soundfile.write(folder / "clean.wav", clean, 16000)
    write_recording(folder / "mixture.mkv", clean + 2 * street_noise(2.0), np.tile(GREY, (2, 1, 1)), audio_delay=0.2)
    return folder / "mixture.mkv", folder / "clean.wav"


@pytest.mark.parametrize("output", ["out.wav", "out.mkv", "out.mp4"])
def test_what_is_kept_as_it_was_scores_as_before(
    run: Run, mixture: tuple[Path, Path], see_through: Path, output: str
) -> None:
    recording, clean = mixture
    shown = run(recording, "-o", output, "--reference", clean, "--report", "report.json", model=see_through)
    assert shown.exit_code == 0, shown.output
    scores = json.loads(Path("report.json").read_text())["scores"]
    assert set(scores["before"]) == set(scores["after"]) == {"pesq", "pesq_wb", "stoi", "estoi", "si_sdr"}
    tolerance = {"pesq": 0.1, "pesq_wb": 0.1, "stoi": 0.01, "estoi": 0.01, "si_sdr": 0.2}
    for name, before in scores["before"].items():
        assert scores["after"][name] == pytest.approx(before, abs=tolerance[name])
    for label in ("before", "after", "gain", "PESQ", "STOI", "ESTOI", "SI-SDR"):
        assert label in shown.stdout


def test_reference_of_another_length_is_1(run: Run, mixture: tuple[Path, Path], tmp_path: Path) -> None:
    recording, clean = mixture
    soundfile.write("short.wav", soundfile.read(clean)[0][:-4000], 16000)
    assert_refused(run(recording, "-o", "out.wav", "--reference", "short.wav"), 1, "2.00 s", "1.75 s")
    assert os.listdir(tmp_path) == ["short.wav"]


def test_score_that_cannot_be_is_null_with_its_reason(run: Run, recording: Path) -> None:
    soundfile.write("silence.wav", np.zeros(8000), 16000)
    shown = run(recording, "-o", "out.wav", "--reference", "silence.wav", "--json")
    scores: dict[str, Any] = json.loads(shown.stdout)["scores"]
    assert set(scores["before"].values()) == {None}
    assert "silent" in scores["reasons"]["before"]["si_sdr"]
    assert " - " in run(recording, "-o", "b.wav", "--reference", "silence.wav").stdout


# The installed command ----------------------------------------------------------------------------------------------


def test_installed_command_shows_no_bar_to_a_file(tiny_model: Path, clip: Path, tmp_path: Path) -> None:
    recording = tmp_path / "-'запись' \"x\".mp4"
    shutil.copy(clip, recording)
    command = [AVSE, "enhance", "--model", tiny_model, "-o", "-out.mkv", "--", recording.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Face seen 100% of the time." in done.stdout
    assert sorted(os.listdir(tmp_path)) == sorted([recording.name, "-out.mkv"])
