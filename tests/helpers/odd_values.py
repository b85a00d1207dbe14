"""Values and texts that a damaged file may hold, for property-based tests."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from avse.errors import AvseError

texts = st.text(max_size=12)
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 2**63, 10**400, float("nan"), float("inf")])
scalars = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
"""Any value that JSON, as Python reads it, may hold."""


def is_fine_or_two_lines(call: Callable[[], object]) -> bool:
    """Return whether a call returns, or raises an error of two lines; any other exception passes."""
    try:
        call()
    except AvseError as error:
        return len(str(error).splitlines()) == 2
    return True
