"""Turn ffmpeg's messages into errors with the cause and a remedy."""

from __future__ import annotations

import errno
import os
import re
import signal

from avse.errors import AvseError, InputError, MissingError
from avse.io.disk import FATAL, SPACE_HINT
from avse.io.ffmpeg_binary import find_ffmpeg, shell_command

REPAIR = "-fflags +genpts -i FILE -c copy REPAIRED.mkv"
"""Arguments of ffmpeg that often repair a file; those of .avi and .vob lack times that .mkv needs."""
CONVERT = "-i FILE -c:v libx264 -c:a flac CONVERTED.mkv"
"""Arguments of ffmpeg that decode a file and store it anew."""
NO_INDEX_HINT = "The file was truncated when it was recorded or copied, or is not a video. Copy or download it again."
UNREADABLE_HINT = "Check that it is a video or audio file and plays; if it does not, copy or download it again."
MEMORY_HINT = "Its index or frame size is damaged or wrong. Export the recording again with another program."

NOT_STARTED = (126, 127, -4)
"""Exit codes for a program that cannot be run, or a processor without the required instructions."""
_NO_SPACE = tuple(map(os.strerror, FATAL))
_CONSEQUENCES = re.compile(
    r"Task finished with error|Terminating thread with|Error while opening encoder|Error sending frames to consumers"
)
_LOADER_WORDS = (
    "error while loading shared libraries",
    "cannot execute",
    "Exec format error",
    "not found (required by",
)


def blamed_lines(text: str) -> list[str]:
    """Return the lines of ffmpeg's messages that name a fault, without those that only report what followed from it."""
    lines = [line for line in text.splitlines() if not _CONSEQUENCES.search(line)]
    return [line for line in lines if "Error" in line or "Invalid" in line or "not found" in line]


def error_line(stderr: str | bytes) -> str:
    """Return ffmpeg's error line without its prefix."""
    text = stderr.decode(errors="replace") if isinstance(stderr, bytes) else stderr
    lines = [line for line in text.splitlines() if line.strip()]
    if any("not on whitelist" in line for line in lines):
        return "a playlist, or not a supported recording format"
    if any("moov atom not found" in line for line in lines):
        return "its index (moov) is missing"
    return re.sub(r"^\[[^]]*\]\s*", "", (blamed_lines(text) or lines or ["no reason given"])[0])[:200]


def write_error(text: str) -> str | None:
    """Return the system's message for a full disk, if a text contains it."""
    return next((words for words in _NO_SPACE if words in text), None)


def lacks_memory(words: str) -> bool:
    """Return whether ffmpeg ran out of the memory that it may use."""
    return os.strerror(errno.ENOMEM) in words or "Failed to allocate" in words


def explain(words: str, failure: str, hint: str, returncode: int) -> AvseError:
    """Return the error for a failed run: MissingError if the machine is the cause, InputError if the recording is."""
    if returncode in NOT_STARTED or any(text in words for text in _LOADER_WORDS):
        binary = find_ffmpeg()
        return MissingError(f"ffmpeg does not start ({binary.path}): {error_line(words)}", binary.remedy)
    reason = os.strerror(errno.EFBIG) if returncode == -signal.SIGXFSZ else write_error(words)  # ulimit -f
    if reason:
        return MissingError(f"{failure}: {reason}", SPACE_HINT)
    if lacks_memory(words) or returncode == -9:
        return InputError(f"{failure}: it needs more memory than is allowed for one recording", MEMORY_HINT)
    if returncode < 0 and not words.strip():
        words = f"ffmpeg crashed ({signal.Signals(-returncode).name})"
    return InputError(f"{failure}: {error_line(words)}", hint or repair_hint())


def repair_hint() -> str:
    """Return what to do about a file that ffmpeg opens, but cannot decode to its end."""
    return f"Check that the file plays; a broken file can often be repaired with: {shell_command(REPAIR)}"


def retry_hint() -> str:
    """Return what to do about a file that ffmpeg decodes too slowly, or not at all."""
    return f"Check that the file plays; convert it first: {shell_command(CONVERT)}"


def unreadable_hint(words: str) -> str:
    """Return what to do about a file that ffmpeg cannot even open, or may not: it cannot be repaired by copying."""
    if "not on whitelist" in words:
        return f"Convert it first, if you trust it: {shell_command(CONVERT)}"
    return NO_INDEX_HINT if "moov atom not found" in words else UNREADABLE_HINT
