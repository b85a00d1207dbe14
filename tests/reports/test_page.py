"""Numbers and nested values as reports print them."""

from __future__ import annotations

import math

from avse.reports.page import facts_of, flat, number, signed, span


def test_numbers_for_readers() -> None:
    minus, dash = "\N{MINUS SIGN}", "\N{EN DASH}"
    assert [number(value) for value in (1.005, -2, math.nan, None, -0.001)] == [
        "1.00",
        f"{minus}2.00",
        dash,
        dash,
        "0.00",
    ]
    assert [signed(value, 1) for value in (0.25, -3.0, math.inf)] == ["+0.2", f"{minus}3.0", dash]
    assert [span(value) for value in (3.44, 59.97, 125, 7199.7, None)] == [
        "3.4 s",
        "1 min 00 s",
        "2 min 05 s",
        "2 h 00 min",
        dash,
    ]
    assert flat({"a_b": {"c": 1, "d": [1, 2]}, "e": None}) == [("a b, c", "1"), ("a b, d", "1, 2"), ("e", "None")]


def test_files_that_were_passed_over_are_counted_and_the_first_are_named() -> None:
    summary = {"num_items": 3, "note": None, "passed_over": {"my_notes_1.txt": "of another kind", "a_b.wav": "a link"}}
    facts = dict(facts_of(summary))
    assert facts["num items"] == "3"
    assert "2 files ignored" in facts["passed over"]
    assert "my_notes_1.txt" in facts["passed over"]
    many = {f"{number}.txt": "of another kind" for number in range(60)}
    assert dict(facts_of({"passed_over": many}))["passed over"].endswith(" 49.txt, ...")
    assert len(facts) == 2
    assert facts_of({"passed_over": {}}) == []
