"""The choice of a target speaker, as it is typed or passed."""

from __future__ import annotations

import pytest

from avse.active_speaker.speaker_choice import parse_speaker
from avse.errors import UsageError


@pytest.mark.parametrize(("text", "choice"), [("Left", "left"), ("2", 2), (3, 3), ("active", "active")])
def test_words_and_numbers(text: str | int, choice: str | int) -> None:
    assert parse_speaker(text) == choice


@pytest.mark.parametrize("text", ["0", "-1", "the tall one", "", "all"])
def test_invalid_choice_is_refused_with_the_known_words(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_speaker(text)
    assert "left" in caught.value.hint
    assert "all" not in caught.value.hint
