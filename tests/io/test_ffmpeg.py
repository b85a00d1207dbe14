"""The runner of ffmpeg: its limits of memory and time, and errors that name the true cause."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from recordings import coloured_noise, write_recording

from avse.errors import InputError, MissingError, UsageError
from avse.io import reader
from avse.io.ffmpeg import local_file, run, stream_output
from avse.io.ffmpeg_errors import MEMORY_HINT, NO_INDEX_HINT, UNREADABLE_HINT, explain
from avse.io.limits import PATIENCE_FACTOR, SLOWEST_RATE, Limits, TimeBudget

SHELL = str(shutil.which("sh"))


def shell(script: str) -> list[str]:
    return [SHELL, "-c", script]


def test_output_and_messages_come_back_however_it_ends() -> None:
    assert run(shell("echo facts; echo words >&2; exit 1"), Limits(), "It failed") == ("facts\n", "words\n")


def test_no_temporary_file_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "full"))
    assert reader.probe(write_it(tmp_path)).audio is not None


def write_it(folder: Path) -> Path:
    import tempfile

    tempfile.tempdir, kept = None, tempfile.tempdir
    try:
        return write_recording(folder / "a.wav", coloured_noise(1600))
    finally:
        tempfile.tempdir = kept


def test_what_the_program_started_is_killed_too() -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match="produced no output"):
        run(shell("sleep 30 & sleep 30; wait"), Limits(patience_seconds=0.3), "It failed")
    assert time.monotonic() - began < 25


@pytest.mark.parametrize("words", ["No space left on device", "Disk quota exceeded", "Read-only file system"])
def test_full_disk_is_missing_space_and_no_broken_recording(words: str) -> None:
    command = shell(f"echo 'av_interleaved_write_frame(): {words}' >&2; exit 1")
    with pytest.raises(MissingError, match=words), stream_output(command, Limits(), "It failed") as pipe:
        pipe.read()


@pytest.mark.parametrize(("megabytes", "fits"), [(1000, True), (200, False)])
def test_memory_is_bounded(megabytes: float, fits: bool) -> None:
    limits = Limits(max_memory_megabytes=megabytes)
    _, words = run([sys.executable, "-S", "-c", "bytes(300_000_000)"], limits, "It failed")
    assert ("MemoryError" not in words) == fits


def test_lack_of_memory_is_reported() -> None:
    with pytest.raises(InputError, match="more memory") as error:
        run(shell("echo 'Error opening input: Cannot allocate memory' >&2; exit 1"), Limits(), "It failed")
    assert error.value.hint == MEMORY_HINT


def test_time_is_counted_over_all_runs_of_one_recording() -> None:
    limits = Limits(patience_seconds=1.0).for_recording()
    assert limits.budget is not None
    run(shell("sleep 0.1"), limits, "It failed")
    assert 0 < limits.budget.spent < PATIENCE_FACTOR
    limits.budget.spend(PATIENCE_FACTOR - limits.budget.spent)
    with pytest.raises(InputError, match="in total"):
        run(shell("sleep 0.1"), limits, "It failed")
    assert limits.budget.spent > PATIENCE_FACTOR


def test_trickle_is_stopped_unless_it_is_worth_its_time() -> None:
    trickle = shell("for i in 1 2 3 4 5 6 7 8 9 10; do printf 12345678; sleep 0.1; done")
    enough = Limits(patience_seconds=0.02).for_recording()
    with stream_output(trickle, with_patience(enough), "It failed", bytes_per_second=800) as pipe:
        assert len(pipe.read()) == 80
    with (
        pytest.raises(InputError, match="in total"),
        stream_output(trickle, with_patience(Limits(patience_seconds=0.02).for_recording()), "It failed") as pipe,
    ):
        pipe.read()


def with_patience(limits: Limits) -> Limits:
    """The same budget, and time enough for one read."""
    return Limits(patience_seconds=5, budget=limits.budget)


def test_budget_grows_with_what_comes_out() -> None:
    budget = TimeBudget(1.0)
    budget.spend(1.5)
    assert budget.is_exceeded
    budget.grant(1.0)
    assert not budget.is_exceeded
    assert budget.seconds == 1.0 + SLOWEST_RATE


def test_recordings_do_not_share_a_budget() -> None:
    first, second = Limits().for_recording(), Limits().for_recording()
    assert first == second
    assert first.budget is not second.budget


@pytest.mark.parametrize("value", [0, -1, float("nan"), "5", True, None])
@pytest.mark.parametrize("name", ["max_seconds", "max_megabytes", "max_pixels", "patience_seconds"])
def test_limits_check_their_own_values(name: str, value: object) -> None:
    with pytest.raises(UsageError, match="is not a number above 0"):
        Limits(**{name: value})  # type: ignore[arg-type]


def test_hint_of_a_limit_names_its_flag() -> None:
    with pytest.raises(UsageError, match="--max-seconds -3"):
        Limits(max_seconds=-3)


def test_big_frames_may_have_more_memory() -> None:
    plain = Limits(max_memory_megabytes=10)
    assert plain.for_pixels(64).max_memory_megabytes == pytest.approx(10.0064)
    assert plain.for_pixels(2**40).max_memory_megabytes < 2**40 / 1e6


def test_standard_input_on_a_full_disk_is_missing_space() -> None:
    class Endless:
        def read(self, size: int) -> bytes:
            return bytes(size)

    with pytest.raises(InputError, match="larger than"), local_file(Endless(), Limits(max_megabytes=3)):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize(("name", "hint"), [("a.mp4", NO_INDEX_HINT), ("a.mkv", UNREADABLE_HINT)])
def test_remedy_is_one_that_can_work(tmp_path: Path, name: str, hint: str) -> None:
    """A file that cannot be opened cannot be copied either."""
    whole = write_recording(tmp_path / "whole.mp4", coloured_noise(16000)).read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: whole.rindex(b"moov") - 100])
    (tmp_path / "a.mkv").write_bytes(bytes(5000))
    with pytest.raises(InputError) as error:
        reader.probe(tmp_path / name)
    assert error.value.hint == hint
    assert "-c copy" not in error.value.hint


@pytest.mark.parametrize(("name", "video", "audio"), [("a.wtv", "mpeg2video", "mp2"), ("a.rm", "rv10", "ac3")])
def test_rarer_containers_are_read(tmp_path: Path, name: str, video: str, audio: str) -> None:
    codecs = ("-c:v", video, "-c:a", audio, "-ar", "44100")
    path = write_recording(tmp_path / name, coloured_noise(16000), np.zeros((25, 144, 176), np.uint8), *codecs)
    recording = reader.probe(path)
    assert (recording.audio is None, recording.video is None) == (False, False)


def test_failure_of_the_recording_stays_one() -> None:
    error = explain("[dec] Error while decoding: x", "It failed", "Do this", 1)
    assert isinstance(error, InputError)
    assert (error.message, error.hint) == ("It failed: Error while decoding: x", "Do this")
