"""What the user should know about a recording or its output: a short code for programs, and a sentence."""

from __future__ import annotations

from typing import Any, NamedTuple

FORMER_CODES = {"no_video": "no_picture", "video_not_decoded": "picture_not_decoded"}
"""Codes of messages, and their former names."""


class Message(NamedTuple):
    """Hold a code for programs and a sentence for people."""

    code: str
    text: str

    @property
    def is_loss(self) -> bool:
        """Return whether this is about something that the output lacks."""
        return False

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; ``former_code`` is an earlier name of the code that will be removed."""
        former = FORMER_CODES.get(self.code)
        return self._asdict() | {"is_loss": self.is_loss} | ({"former_code": former} if former else {})


class Loss(Message):
    """Hold a message about something that the output lacks: --quiet does not hide it."""

    @property
    def is_loss(self) -> bool:
        """Return True."""
        return True
