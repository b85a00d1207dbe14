"""Speaker turns as RTTM: one line a turn, in the order of time, which other tools can split at blanks."""

from __future__ import annotations

from pathlib import Path

import pytest

from avse.active_speaker.rttm import write_rttm

FACTS = [
    {"number": 1, "speech_intervals_seconds": [(0.0, 1.5), (4.04, 5.0)]},
    {"number": 2, "speech_intervals_seconds": [(1.2, 3.0)]},
    {"number": 3, "speech_intervals_seconds": []},
]


def test_turns_are_in_the_order_of_time(tmp_path: Path) -> None:
    write_rttm(tmp_path / "a.rttm", "talk", FACTS)
    assert (tmp_path / "a.rttm").read_text().splitlines() == [
        "SPEAKER talk 1 0.000 1.500 <NA> <NA> face-1 <NA> <NA>",
        "SPEAKER talk 1 1.200 1.800 <NA> <NA> face-2 <NA> <NA>",
        "SPEAKER talk 1 4.040 0.960 <NA> <NA> face-1 <NA> <NA>",
    ]


@pytest.mark.parametrize(
    ("name", "word"), [("my talk", "my_talk"), ("a \t\n b", "a_b"), ("", "recording"), ("Łódź", "Łódź")]
)
def test_a_name_is_one_word(tmp_path: Path, name: str, word: str) -> None:
    write_rttm(tmp_path / "a.rttm", name, FACTS)
    for line in (tmp_path / "a.rttm").read_text().splitlines():
        assert (len(line.split()), line.split()[1]) == (10, word)


def test_nobody_speaks(tmp_path: Path) -> None:
    write_rttm(tmp_path / "a.rttm", "talk", FACTS[2:])
    assert (tmp_path / "a.rttm").read_text() == ""
