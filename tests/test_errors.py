"""Errors of avse: message and hint, exit codes, and words of other libraries on one line."""

from __future__ import annotations

import os

import pytest

from avse.errors import AvseError, InputError, MissingError, UsageError, lacks_memory, one_line, printable


def test_exit_codes_are_public() -> None:
    assert [kind.exit_code for kind in (AvseError, InputError, UsageError, MissingError)] == [1, 1, 2, 3]


def test_an_error_is_two_lines() -> None:
    error = UsageError("This is wrong.", "Do that.")
    assert str(error).splitlines() == ["This is wrong.", "Do that."]


@pytest.mark.parametrize("text", [os.fsdecode(b"\xff"), "\udc80 and more"])
def test_any_name_can_be_printed(text: str) -> None:
    assert printable(text).encode()


def test_usual_names_are_printed_as_they_are() -> None:
    assert printable("Gespräch in Łódź.mp4") == "Gespräch in Łódź.mp4"


def test_words_of_another_library_are_one_short_line() -> None:
    line = one_line(ValueError("first\n  second\t" + "x" * 1000))
    assert line.startswith("ValueError: first second x")
    assert (len(line), "\n" in line) == (300, False)


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_ran_out(error: Exception, is_memory: bool) -> None:
    assert lacks_memory(error) is is_memory
