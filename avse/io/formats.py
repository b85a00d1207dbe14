"""The file types that avse reads and writes."""

from __future__ import annotations

AUDIO_FILES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a"})
VIDEO_FILES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm", ".mpg"})
