"""Speaker turns as NIST RTTM (Rich Transcription Time Marked), the format of diarization tools such as pyannote.

One line a turn: ``SPEAKER file channel onset duration <NA> <NA> speaker <NA> <NA>``, times in seconds (NIST, The 2009
Rich Transcription Evaluation Plan, appendix A).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avse.io import atomic


def write_rttm(path: Path, name: str, facts: Sequence[Mapping[str, Any]]) -> None:
    """Write who speaks when, in the order of time.

    Args:
        name: name of the recording in the file; blanks become underscores, as the format has no quotes.
        facts: those of `avse.active_speaker.scene.Scene.facts`; the speakers are face-1, face-2, ...
    """
    turns = sorted(
        (begin, end, f"face-{face['number']}") for face in facts for begin, end in face["speech_intervals_seconds"]
    )
    word = re.sub(r"\s+", "_", name) or "recording"
    lines = (f"SPEAKER {word} 1 {begin:.3f} {end - begin:.3f} <NA> <NA> {who} <NA> <NA>\n" for begin, end, who in turns)
    with atomic.atomic_path(path) as partial:
        partial.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
