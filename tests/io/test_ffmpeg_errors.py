"""ffmpeg's messages become errors that name the recording or the machine as the cause."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from avse.errors import InputError, MissingError
from avse.io.ffmpeg_errors import (
    MEMORY_HINT,
    NO_INDEX_HINT,
    SPACE_HINT,
    UNREADABLE_HINT,
    error_line,
    explain,
    repair_hint,
    unreadable_hint,
)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("info\n[h264 @ 0x1] Invalid NAL unit\nmore", "Invalid NAL unit"),
        (b"\n[mov @ 0x2] moov atom not found\na.mp4: Invalid data", "its index (moov) is missing"),
        ("[hls @ 0x3] Protocol 'file' not on whitelist 'pipe'!", "a playlist, or not a supported recording format"),
        ("only this", "only this"),
        ("[x @ 0x1] setup failed\n[enc:x] Error while opening encoder", "setup failed"),
        ("[x @ 0x1] setup failed\n[af] Error sending frames to consumers: Invalid argument", "setup failed"),
        ("", "no reason given"),
        (b"Error: \xff", "Error: \ufffd"),
    ],
)
def test_the_line_that_names_the_cause(words: str | bytes, line: str) -> None:
    assert error_line(words) == line


def test_a_long_line_is_cut() -> None:
    assert len(error_line("Error " + "x" * 1000)) == 200


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_the_fault_of_the_machine(code: int) -> None:
    error = explain(f"av_interleaved_write_frame(): {os.strerror(code)}", "out.mp4 failed", "", 1)
    assert isinstance(error, MissingError)
    assert (error.message, error.hint) == (f"out.mp4 failed: {os.strerror(code)}", SPACE_HINT)


def test_a_limit_of_the_shell_on_file_sizes_is_one_of_the_disk() -> None:
    error = explain("", "out.mp4 failed", "", -signal.SIGXFSZ)
    assert isinstance(error, MissingError)
    assert error.hint == SPACE_HINT


@pytest.mark.parametrize(("words", "code"), [("", 127), ("ffmpeg: cannot execute: required file not found", 1)])
def test_a_program_that_does_not_start(words: str, code: int) -> None:
    error = explain(words, "a.mp4 failed", "", code)
    assert isinstance(error, MissingError)
    assert error.message.startswith("ffmpeg does not start (")


@pytest.mark.parametrize(("words", "code"), [(os.strerror(errno.ENOMEM), 1), ("Failed to allocate", 1), ("", -9)])
def test_a_recording_that_needs_too_much_memory(words: str, code: int) -> None:
    error = explain(words, "a.mp4 failed", "", code)
    assert isinstance(error, InputError)
    assert (error.hint, "memory" in error.message) == (MEMORY_HINT, True)


@pytest.mark.parametrize(("hint", "expected"), [("", repair_hint()), ("Do this.", "Do this.")])
def test_other_failures_are_the_fault_of_the_recording(hint: str, expected: str) -> None:
    error = explain("Error: broken", "a.mp4 failed", hint, 1)
    assert isinstance(error, InputError)
    assert (error.message, error.hint) == ("a.mp4 failed: Error: broken", expected)


def test_remedy_for_a_file_that_cannot_be_opened() -> None:
    assert unreadable_hint("moov atom not found") == NO_INDEX_HINT
    assert unreadable_hint("Invalid data found") == UNREADABLE_HINT
    assert unreadable_hint("[hls] Format not on whitelist 'wav'").startswith("Convert it first, if you trust it: ")


def test_crash_without_a_word_is_called_one() -> None:
    error = explain("", "ffmpeg cannot read a.mp4", "", -signal.SIGSEGV)
    assert error.message == "ffmpeg cannot read a.mp4: ffmpeg crashed (SIGSEGV)"
