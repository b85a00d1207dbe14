"""Values and texts that a damaged file may hold, for property-based tests."""

from __future__ import annotations

from hypothesis import strategies as st

texts = st.text(max_size=12)
numbers = st.integers() | st.floats() | st.sampled_from([0, -1, 2**63, 10**400, float("nan"), float("inf")])
scalars = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)
"""Any value that JSON, as Python reads it, may hold."""
