"""Decode files that should be text, with a plain reason where they are not."""

from __future__ import annotations


def decode_text(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark. ValueError says plainly what is wrong with the bytes."""
    if b"\0" in data:
        raise ValueError("it contains NUL bytes, as after a crash or a failed copy")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
