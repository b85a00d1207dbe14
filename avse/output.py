"""The end of the stream: sound brought to the recording's own rate and length, and written.

Legend: `C` channels, `N` samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from avse import media
from avse.errors import AvseError

SOUND_FILES = frozenset({".wav", ".flac"})
PICTURE_FILES = frozenset({".mp4", ".mkv", ".mov"})


def write(target: Path, tape: media.Media, blocks: Iterator[np.ndarray]) -> None:
    """Write sound blocks to a sound file, or under the copied picture of the recording. AvseError if that fails."""
    assert tape.sound is not None
    is_sound = target.suffix.lower() in SOUND_FILES
    sound_file = target if is_sound else target.with_suffix(".wav")
    try:
        with soundfile.SoundFile(sound_file, "w", tape.sound.sample_rate, tape.sound.num_channels, "PCM_16") as file:
            for block in blocks:
                file.write(np.clip(block, -1.0, 1.0))
        if not is_sound:
            media.replace_sound(tape, sound_file, target)
    except soundfile.SoundFileError as error:
        raise AvseError(f"The sound cannot be written: {error}", "See that there is space on the disk.") from error
    finally:
        if not is_sound:
            sound_file.unlink(missing_ok=True)
