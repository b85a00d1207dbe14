"""What the user wants of a recording, checked when it is created."""

from __future__ import annotations

from dataclasses import dataclass

from avse.active_speaker.speaker_choice import parse_speaker
from avse.enhancement.loudness import check_loudness
from avse.enhancement.validation import check_strength
from avse.io.encoding import DEFAULT_SETTINGS, OutputSettings


@dataclass(frozen=True)
class Options:
    """Hold the options for a recording; the fields are explained at `avse.enhancement.pipeline.enhance`.

    ``with_background`` asks for what is removed as one more output; ``measure_all`` measures the activity of a single
    face, too. The speaker "all" asks for an output of each face. UsageError for a value that is out of range.
    """

    use_video: bool = True
    speaker: str | int = "active"
    strength: float = 1.0
    loudness_lufs: float | None = None
    with_background: bool = False
    measure_all: bool = False
    settings: OutputSettings = DEFAULT_SETTINGS

    def __post_init__(self) -> None:
        object.__setattr__(self, "speaker", parse_speaker(self.speaker, "all"))
        check_strength(self.strength)
        check_loudness(self.loudness_lufs)
