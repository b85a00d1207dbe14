"""Parse the choice of a target speaker. Without torch, so that a wrong choice is refused at once."""

from __future__ import annotations

import numbers

from avse.errors import UsageError, short_repr

SPEAKER_WORDS = ("active", "largest", "left", "right", "everyone")

SpeakerChoice = str | int
"""A target speaker, as `parse_speaker` returns it."""


def parse_speaker(speaker: str | int, *others: str) -> SpeakerChoice:
    """Return a word of ``SPEAKER_WORDS`` or ``others``, the number of a face, or several as "1,3".

    UsageError for anything else.
    """
    text = str(speaker).strip().lower() if isinstance(speaker, str | int | numbers.Integral) else ""
    if text in (*SPEAKER_WORDS, *others):
        return text
    parts = [part.strip() for part in text.split(",")]
    if all(number.isdecimal() and len(number) < 10 and int(number) > 0 for number in parts):
        several = sorted(set(map(int, parts)))
        return several[0] if len(several) == 1 else ",".join(map(str, several))
    known = ", ".join((*SPEAKER_WORDS, *others))
    raise UsageError(
        f"--speaker {short_repr(speaker)} is unknown.", f"Use the number of a face (see: avse faces), or: {known}."
    )
