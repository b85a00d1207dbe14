"""Options of the pipeline are checked, and the speaker is parsed, when they are created."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from avse.enhancement.options import Options
from avse.errors import UsageError


@pytest.mark.parametrize(("speaker", "parsed"), [(" All ", "all"), ("Everyone", "everyone"), ("3,1", "1,3"), ("2", 2)])
def test_speaker_is_parsed(speaker: str, parsed: str | int) -> None:
    assert Options(speaker=speaker).speaker == parsed
    assert replace(Options(), speaker=speaker).speaker == parsed


@pytest.mark.parametrize(
    "wrong",
    [{"speaker": "nobody"}, {"speaker": 0}, {"strength": 1.5}, {"strength": float("nan")}, {"loudness_lufs": 5}],
)
def test_values_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Options(**wrong)
