"""``avse batch`` as it is typed, and its faults as they happen: kills, full disks, interruptions, two at a time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from batch_jobs import wait_for
from recordings import coloured_noise, ffmpeg, write_recording
from typer.testing import CliRunner

from avse.batch.job import EnhanceJob
from avse.errors import UsageError
from avse_cli import batch_progress
from avse_cli.main import app

AVSE = Path(sys.executable).with_name("avse")
Run = Callable[..., Any]


@pytest.fixture
def run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_process: None) -> Run:
    """Type ``avse batch`` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str | Path, model: str | Path = tiny_model) -> Any:
        return CliRunner().invoke(app, ["batch", "--model", str(model), *map(str, arguments)])

    return invoke


@pytest.fixture
def typed(tiny_model: Path, tmp_path: Path) -> Run:
    """Start ``avse batch`` in a process of its own, as the leader of a group as a shell would."""

    def start(*arguments: str | Path, **settings: Any) -> subprocess.Popen[str]:
        command = [str(AVSE), "batch", "--model", str(tiny_model), *map(str, arguments)]
        with (tmp_path / "stdout").open("w") as stdout, (tmp_path / "stderr").open("w") as stderr:
            return subprocess.Popen(
                command, cwd=tmp_path, stdout=stdout, stderr=stderr, text=True, process_group=0, **settings
            )

    return start


def words_of(batch: subprocess.Popen[str], tmp_path: Path) -> tuple[str, str]:
    """Standard output and standard error of a command that was `typed`, at its end."""
    batch.wait(240)
    return (tmp_path / "stdout").read_text(), (tmp_path / "stderr").read_text()


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four short recordings."""
    for name in ("a", "b", "sub/c", "sub/d"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "in" / f"{name}.wav", coloured_noise(8000), 16000)
    return tmp_path / "in"


def write_long(path: Path, seconds: int = 1200) -> Path:
    """A recording whose end no test waits for."""
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.tile(coloured_noise(160_000), (seconds // 10, 1)), 16000)
    return path


def rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def statuses(folder: Path) -> dict[str, str]:
    """Status by name; no item ends twice."""
    found = {row["item"]: row["status"] for row in rows(folder)}
    assert len(found) == len(rows(folder))
    return found


def half_written(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part*"))


def worker_of(parent: int) -> int:
    """A process that a batch started to work, by its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            is_child = (folder / "stat").read_text().rpartition(")")[2].split()[1] == str(parent)
            if is_child and b"spawn_main" in (folder / "cmdline").read_bytes():
                return int(folder.name)
    raise AssertionError(f"process {parent} has no worker")


# Results and messages -----------------------------------------------------------------------------------------------


def test_folder_becomes_a_folder_like_it(run: Run, recordings: Path, clip: Path) -> None:
    (recordings / "bad.mp4").write_text("no recording")
    (recordings / "talk.mp4").write_bytes(clip.read_bytes())
    shown = run("in", "-o", "out", "--jobs", "2")
    assert shown.exit_code == 1
    assert shown.stdout.startswith("out: 5 done, 1 failed (")
    assert "Report: out/report.html" in shown.stdout
    assert [line[:19] for line in shown.stderr.splitlines()] == ["avse: in/bad.mp4 is", "      The file was "]
    made = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.wav"))
    assert made == ["a.wav", "b.wav", "sub/c.wav", "sub/d.wav", "talk.wav"]
    assert soundfile.info("out/sub/d.wav").frames == 8000
    [talk] = [row for row in rows(Path("out")) if row["item"] == "talk.mp4"]
    assert {"status": "done", "num_faces": 1, "seen_share": 1.0, "model": "tiny", "attempts": 1}.items() <= talk.items()
    assert talk["duration_seconds"] == pytest.approx(1.28)

    before = Path("out/a.wav").stat().st_mtime_ns
    again = run("in", "-o", "out", "--json", "--glob", "*.wav")
    assert (again.exit_code, again.stderr) == (0, "")
    summary = json.loads(again.stdout)
    assert (summary["done"], summary["skipped"], summary["failed"]) == (0, 4, 0)
    assert Path("out/a.wav").stat().st_mtime_ns == before
    quiet = run("in", "-o", "out", "-q", "--force", "--glob", "a.wav")
    assert (quiet.exit_code, quiet.stdout, quiet.stderr) == (0, "", "")
    assert Path("out/a.wav").stat().st_mtime_ns > before


def test_scores_and_suffix_and_options(run: Run, recordings: Path) -> None:
    write_recording(recordings / "v.mkv", coloured_noise(16000), np.full((25, 96, 128), 128, np.uint8))
    (recordings.parent / "clean").mkdir()
    soundfile.write("clean/v.flac", coloured_noise(16000), 16000)
    shown = run(
        "in", "-o", "out", "--flat", "--suffix", "keep", "--reference-dir", "clean", "--no-video", "--strength", "0"
    )
    assert shown.exit_code == 0, shown.output
    assert sorted(path.name for path in Path("out").glob("[!.]*.[wm]*")) == ["a.wav", "b.wav", "v.mkv"]
    scores = {row["item"]: row["scores"] for row in rows(Path("out"))}
    assert scores["v.mkv"]["after"]["si_sdr"] > 20
    assert "is missing" in scores["a.wav"]["reason"]
    assert "video was ignored" in {row["item"]: row["note"] for row in rows(Path("out"))}["v.mkv"]
    assert json.loads(Path("out/summary.json").read_text())["options"]["strength"] == 0


def test_outputs_of_other_options_are_kept_and_said_to_be(run: Run, recordings: Path) -> None:
    options = ("in", "-o", "out", "-j", "1", "--flat", "--json")
    assert json.loads(run(*options).stdout)["kept"] == 0
    again = run(*options, "--strength", "0.5")
    summary = json.loads(again.stdout)
    assert (again.exit_code, summary["skipped"], summary["kept"]) == (0, 2, 2)
    assert again.stderr.startswith("2 outputs were kept that may have been made by hand, with other options, or")
    planned = run(*options[:-1], "--strength", "0.5", "--dry-run")
    assert planned.stdout == "kept  in/a.wav -> out/a.wav\nkept  in/b.wav -> out/b.wav\n"
    same = run(*options)
    assert (same.stderr, json.loads(same.stdout)["kept"]) == ("", 0)


def test_kept_video_file_without_video_becomes_audio(run: Run, tmp_path: Path, clip: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/talk.mp4").write_bytes(clip.read_bytes())
    write_recording(tmp_path / "in/call.mp4", coloured_noise(8000))
    write_recording(tmp_path / "in/call.wav", coloured_noise(4000))
    options = ("in", "-o", "out", "--suffix", "keep", "--json", "-j", "1")
    assert json.loads(run(*options).stdout)["done"] == 3
    assert sorted(path.name for path in Path("out").glob("[!.]*.[wm]*")) == ["call.mp4.wav", "call.wav", "talk.mp4"]
    assert soundfile.info("out/call.mp4.wav").frames > soundfile.info("out/call.wav").frames == 4000
    assert {row["item"]: row["output"] for row in rows(Path("out"))}["call.mp4"] == "call.mp4.wav"
    assert "done  in/call.mp4 -> out/call.mp4.wav" in run(*options[:5], "--dry-run").stdout.splitlines()
    again = json.loads(run(*options).stdout)
    assert (again["done"], again["skipped"], again["failed"]) == (0, 3, 0)


def test_what_outputs_lack_is_counted_and_listed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    grey = np.full((25, 48, 64), 128, np.uint8)
    one = write_recording(tmp_path / "in" / "one.mkv", coloured_noise(16000), grey, "-c:a", "flac")
    ffmpeg("-i", one, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", tmp_path / "in" / "two.mkv")
    words = run("in", "-o", "out", "-q", "--suffix", "keep")
    assert (words.exit_code, words.stdout, words.stderr.count("\n")) == (0, "", 1)
    assert "1 output lacks part of the recording" in words.stderr
    assert "Audio track 1 of 2 was used" in Path("out/report.html").read_text().partition('id="left-out"')[2]
    rows = {row["item"]: row["losses"] for row in map(json.loads, Path("out/results.jsonl").read_text().splitlines())}
    assert [len(rows[name]) for name in ("one.mkv", "two.mkv")] == [0, 1]
    assert run("in", "-o", "out", "-q", "--suffix", "keep").stderr == ""
    assert run("in", "-o", "both", "-q", "--suffix", "keep", "--keep-tracks").stderr == ""
    lost = run("in", "-o", "wav", "-q", "--suffix", ".wav")
    assert "1 output lacks" in lost.stderr


def test_list_and_dry_run(run: Run, recordings: Path) -> None:
    Path("list.txt").write_text("in/sub/c.wav\nin/missing.wav\n")
    planned = run("@list.txt", "-o", "out", "--dry-run")
    assert planned.exit_code == 0
    assert planned.stdout.splitlines() == [
        "todo  in/sub/c.wav -> out/in/sub/c.wav",
        "todo  in/missing.wav -> out/in/missing.wav",
    ]
    assert not Path("out").exists()
    shown = run("@list.txt", "-o", "out")
    assert shown.exit_code == 1
    assert statuses(Path("out")) == {"in/sub/c.wav": "done", "in/missing.wav": "failed"}
    states = [json.loads(line)["state"] for line in run("@list.txt", "-o", "out", "-n", "--json").stdout.splitlines()]
    assert states == ["done", "todo"]


def test_dry_run_shows_any_name_on_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "two\nlines.wav").touch()
    assert run("in", "-o", "out", "--dry-run").stdout == "todo  in/two\\nlines.wav -> out/two\\nlines.wav\n"


def test_folders_behind_urls(run: Run, recordings: Path) -> None:
    url = recordings.parent.as_uri()
    assert run(f"{url}/in", "-o", f"{url}/out", "--results", "log").exit_code == 0
    assert soundfile.info("out/sub/c.wav").frames == 8000
    assert set(statuses(Path("log")).values()) == {"done"}
    assert "4 skipped" in run(f"{url}/in", "-o", f"{url}/out", "--results", "log").stdout
    assert sorted(os.listdir("out")) == ["a.wav", "b.wav", "sub"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "-o", "out"], "no folder nowhere"),
        (["in", "-o", "in"], "input folder itself"),
        (["in", "-o", "out", "--jobs", "0"], "--jobs 0"),
        (["in", "-o", "out", "--jobs", "many"], "--jobs many"),
        (["in", "-o", "out", "--suffix", ".avi"], ".avi"),
        (["in", "-o", "out", "--glob", "*.avi"], "No recordings"),
        (["in", "-o", "file"], "file cannot be written to"),
        (["in", "-o", "file:///tmp/out"], "--results"),
        (["@nowhere.txt", "-o", "out"], "nowhere.txt"),
        (["in", "-o", "out", "--loudness", "5"], "--loudness 5"),
        (["in", "-o", "out", "--loudness", "5", "--dry-run"], "--loudness 5"),
        (["in", "-o", "out", "--speaker", "nobody"], "--speaker 'nobody'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_2(run: Run, recordings: Path, arguments: list[str], words: str) -> None:
    Path("file").touch()
    shown = run(*arguments)
    assert (shown.exit_code, shown.stdout, shown.stderr.count("\n")) == (2, "", 2), shown.output
    assert words in shown.stderr
    assert not Path("out").exists()


def test_unknown_model_is_2_and_reports_it_once(run: Run, recordings: Path) -> None:
    shown = run("in", "-o", "out", model="unknown")
    assert (shown.exit_code, shown.stdout, shown.stderr.count("\n")) == (2, "", 2)
    assert "unknown" in shown.stderr
    assert rows(Path("out")) == []


@pytest.mark.parametrize(("speaker", "words"), [("all", "audio-only"), ("left", "audio-only")])
def test_invalid_speaker_is_2_and_reported_once(run: Run, recordings: Path, speaker: str, words: str) -> None:
    shown = run("in", "-o", "out", "--speaker", speaker, model="avse-audio")
    assert (shown.exit_code, shown.stdout, shown.stderr.count("\n")) == (2, "", 2), shown.output
    assert words in shown.stderr
    assert rows(Path("out")) == []


def test_invalid_strength_is_reported_as_a_worker_starts(tiny_model: Path) -> None:
    with pytest.raises(UsageError, match="strength of 2"):
        EnhanceJob(str(tiny_model), "cpu", {"strength": 2.0})()


# Faults -------------------------------------------------------------------------------------------------------------


def test_killed_worker_costs_its_item_a_second_try(typed: Run, recordings: Path, tmp_path: Path) -> None:
    long = write_long(recordings / "a long one.wav")
    with typed("in", "-o", "out", "-j", "1", "--glob", "a*", "--json") as batch:
        wait_for(lambda: half_written(tmp_path / "out"))
        os.kill(worker_of(batch.pid), signal.SIGKILL)
        os.replace(recordings / "b.wav", long)  # long before another worker comes to it, after a.wav
        shown, errors = words_of(batch, tmp_path)
    assert (batch.returncode, errors) == (0, "")
    assert json.loads(shown)["done"] == 2
    assert statuses(tmp_path / "out") == {"a long one.wav": "done", "a.wav": "done"}
    assert {row["item"]: row["attempts"] for row in rows(tmp_path / "out")} == {"a long one.wav": 2, "a.wav": 1}
    assert not half_written(tmp_path / "out")


def test_interruption_stops_soon_and_the_same_command_goes_on(typed: Run, recordings: Path, tmp_path: Path) -> None:
    long = write_long(recordings / "long.wav")
    with typed("in", "-o", "out", "-j", "2") as batch:
        wait_for(lambda: len(rows(tmp_path / "out")) >= 2 and half_written(tmp_path / "out"))
        os.killpg(batch.pid, signal.SIGINT)
        _, errors = words_of(batch, tmp_path)
    assert batch.returncode == 130
    assert errors.splitlines()[-1] == "avse: interrupted; no incomplete file was left."
    assert "Traceback" not in errors
    assert not half_written(tmp_path / "out")
    before = rows(tmp_path / "out")
    assert "long.wav" not in {row["item"] for row in before}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["stopped"] == "interrupted"
    soundfile.write(long, coloured_noise(8000), 16000)
    with typed("in", "-o", "out", "-j", "2") as batch:
        shown, errors = words_of(batch, tmp_path)
    assert (batch.returncode, errors) == (0, "")
    done, skipped = map(int, re.findall(r"(\d) (?:done|skipped)", shown))
    assert done + skipped == 5
    assert skipped >= len(before)  # an output may be complete and its row not yet written
    assert set(statuses(tmp_path / "out").values()) <= {"done", "skipped"}
    assert rows(tmp_path / "out")[: len(before)] == before


def test_second_batch_on_a_folder_is_refused(typed: Run, run: Run, recordings: Path, tmp_path: Path) -> None:
    write_long(recordings / "long.wav")
    with typed("in", "-o", "out", "-j", "1", "--glob", "long.wav") as batch:
        wait_for(lambda: half_written(tmp_path / "out"))
        refused = run("in", "-o", "out", "--glob", "a.wav")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert f"process {batch.pid} on " in refused.stderr
        assert len(half_written(tmp_path / "out")) == 1
        os.kill(batch.pid, signal.SIGKILL)
    assert run("in", "-o", "out", "--glob", "a.wav").exit_code == 0


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only root may mount; the test with a limit on the size of files stands in")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def assert_disk_is_blamed(batch: subprocess.Popen[str], tmp_path: Path, folder: Path, reason: str) -> None:
    """Reported at once, with what to do; what is done stays done."""
    _, errors = words_of(batch, tmp_path)
    assert batch.returncode == 3, errors
    assert reason in errors
    assert "run the same command again to resume" in errors
    assert len(errors.splitlines()) == 2
    assert not half_written(folder)


def test_full_disk_stops_at_once(typed: Run, recordings: Path, tmpfs: Path, tmp_path: Path) -> None:
    for name in ("e", "f", "g", "h", "i"):
        soundfile.write(recordings / f"{name}.wav", coloured_noise(60_000), 16000)
    with typed("in", "-o", tmpfs / "out", "-j", "1", "--flat") as batch:
        assert_disk_is_blamed(batch, tmp_path, tmpfs / "out", "No space left on device")
    done = statuses(tmpfs / "out")
    assert list(done) == ["a.wav", "b.wav", "e.wav", "f.wav"]
    assert set(done.values()) == {"done"}
    subprocess.run(["mount", "-o", "remount,size=2m", str(tmpfs)], check=True)
    with typed("in", "-o", tmpfs / "out", "-j", "1", "--flat") as batch:
        shown, _ = words_of(batch, tmp_path)
    assert (batch.returncode, shown.partition(" (")[0]) == (0, f"{tmpfs}/out: 3 done, 4 skipped")


def test_disk_that_is_full_of_videos_stops_at_once(typed: Run, recordings: Path, tmpfs: Path, tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (25, 192, 256))
    for name in ("1", "2"):
        write_recording(recordings / f"{name}.mkv", coloured_noise(16_000), frames)
    assert (recordings / "1.mkv").stat().st_size > 300_000
    with typed("in", "-o", tmpfs / "out", "-j", "1", "--glob", "?.mkv", "--suffix", "keep") as batch:
        assert_disk_is_blamed(batch, tmp_path, tmpfs / "out", os.strerror(errno.ENOSPC))
    assert rows(tmpfs / "out") == []


def test_limit_on_the_size_of_files_stops_at_once(typed: Run, recordings: Path, tmp_path: Path) -> None:
    """As a quota would; every user can set it."""
    soundfile.write(recordings / "a.wav", coloured_noise(150_000), 16000)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    with typed("in", "-o", "out", "-j", "1", preexec_fn=limit) as batch:
        assert_disk_is_blamed(batch, tmp_path, tmp_path / "out", "File too large")
    assert rows(tmp_path / "out") == []


def test_read_only_output_is_reported_before_any_work(
    typed: Run, recordings: Path, tmpfs: Path, tmp_path: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    with typed("in", "-o", tmpfs / "out") as batch:
        shown, errors = words_of(batch, tmp_path)
    assert (batch.returncode, shown) == (2, "")
    assert "out cannot be written to: Read-only file system." in errors
    assert "Choose another folder." in errors


# The bars -----------------------------------------------------------------------------------------------------------


def test_bars_are_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for is_terminal, quiet in [(True, False), (True, True), (False, False)]:
        monkeypatch.setattr(sys.stderr, "isatty", lambda is_terminal=is_terminal: is_terminal)
        with batch_progress.bars(quiet, 3) as bars:
            bars.ended(with_work=False)
            bars.working(0, "talk.mp4", "enhancing", 1.0, 4.0)
            bars.working(1, "x" * 50 + "panel.mp4", "listening", 0.0, 0.0)
            bars.ended(with_work=True)
        shown = capsys.readouterr().err
        for words in ("all", "2 of 3, until ", "job 1", "talk.mp4: enhancing", "job 2", "…x", "panel.mp4: listening"):
            assert (words in shown) == (is_terminal and not quiet), words
