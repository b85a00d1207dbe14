"""Checks of values that were read from a file: numbers, optional values, mappings, choices."""

from __future__ import annotations

from typing import Any

import pytest

from avse.io.schema import is_number, is_text, mapping_of, one_of, optional, problem_of

SCHEMA = {"name": is_text, "score": optional(is_number)}


@pytest.mark.parametrize("value", [0, -1, 2.5, 1e14])
def test_finite_numbers_are_numbers(value: Any) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), 1e15, 10**400, "1", None, [1]])
def test_other_values_are_no_numbers(value: Any) -> None:
    assert not is_number(value)


@pytest.mark.parametrize(("value", "is_fine"), [(None, True), (1.0, True), ("1", False)])
def test_optional_number(value: Any, is_fine: bool) -> None:
    assert optional(is_number)(value) is is_fine


@pytest.mark.parametrize(
    ("value", "is_fine"), [({}, True), ({"a": 1}, True), ({"a": 1, "b": "x"}, False), ([1], False)]
)
def test_mapping_of_numbers(value: Any, is_fine: bool) -> None:
    assert mapping_of(is_number)(value) is is_fine


@pytest.mark.parametrize(("value", "is_fine"), [("done", True), ("lost", False), (None, False), (["done"], False)])
def test_choice_of_words(value: Any, is_fine: bool) -> None:
    assert one_of("done", "failed")(value) is is_fine


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"name": "a", "score": 1.0}, ""),
        ({"name": "a", "score": None, "new": object()}, ""),
        ({"score": 1.0}, "it has no name"),
        ({"name": "a"}, "it has no score"),
        ({"name": 1, "score": 1.0}, "its name is invalid"),
        ({"name": "a", "score": "high"}, "its score is invalid"),
        ({"name": "a", "score": 1.0, "note": 3}, "its note is invalid"),
    ],
)
def test_first_problem_is_named(values: dict[str, Any], problem: str) -> None:
    assert problem_of(values, SCHEMA, {"note": is_text}) == problem
