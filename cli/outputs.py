"""Paths of the outputs of ``avse enhance``: as given by ``-o``, or beside each recording."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from avse.errors import UsageError

from .stdio import PIPE


def plan_outputs(recordings: Sequence[Path], output: Path | None, to_folders: bool, suffix: str | None) -> list[Path]:
    """Return the output of each recording: a file, or a folder with one file per person.

    Without ``output`` it is beside the recording, as NAME.enhanced.EXT or NAME.faces. Several recordings need a folder
    as ``output``; it is made.

    Raises:
        UsageError: the recordings cannot share this output.
    """
    if to_folders and output is not None:
        check_folder(output)
    if len(recordings) == 1 and output is not None:
        return [output]
    if PIPE in recordings or output == PIPE:
        message = "Standard input or output needs exactly one recording, and -o."
        raise UsageError(message, "Use for example: avse enhance - -o clean.wav")
    if output is not None:
        _make_folder(output)
    planned = [_beside(recording, output or recording.parent, to_folders, suffix) for recording in recordings]
    for number, path in enumerate(planned):
        if path in planned[:number]:
            first = recordings[planned.index(path)]
            raise UsageError(
                f"{first} and {recordings[number]} would both be written to {path}.",
                "Enhance them one by one, each with -o.",
            )
    return planned


def enhanced_suffix(recording: Path) -> str:
    """Return the type of the output beside a recording: its own where avse can write it, else .mkv or .wav.

    Video files that hold audio only become .wav.
    """
    from avse.io.formats import AUDIO_OUTPUTS, VIDEO_OUTPUTS, is_video
    from avse.io.probe import has_video

    suffix = recording.suffix.lower()
    if suffix in AUDIO_OUTPUTS:
        return suffix
    if not (is_video(recording) and has_video(recording)):
        return ".wav"
    return suffix if suffix in VIDEO_OUTPUTS else ".mkv"


def check_folder(output: Path) -> None:
    """Raise UsageError for a folder that is named like a file."""
    from avse.io.formats import FILE_TYPES

    suffix = output.suffix.lower()
    if suffix in FILE_TYPES and not output.is_dir():
        folder = shlex.quote(str(output.with_suffix("")))
        raise UsageError(
            f"--speaker all writes one file per person into a folder, and {output} is a file name.",
            f"Use: --speaker all -o {folder} --suffix {suffix.removeprefix('.')}",
        )


def _beside(recording: Path, folder: Path, to_folders: bool, suffix: str | None) -> Path:
    name = recording.stem or recording.name
    if to_folders:
        return folder / f"{name}.faces"
    return folder / f"{name}.enhanced{suffix or enhanced_suffix(recording)}"


def _make_folder(output: Path) -> None:
    from avse.io.disk import make_folder
    from avse.io.formats import FILE_TYPES
    from avse.io.urls import check_local

    if output.is_file() or output.suffix.lower() in FILE_TYPES:
        hint = "Use a folder: -o enhanced/, or omit -o."
        raise UsageError(f"Several recordings cannot all be written to {output}.", hint)
    check_local(output)
    if not output.parent.is_dir():
        raise UsageError(f"The folder {output.parent} does not exist.", f"Create it first: mkdir -p '{output.parent}'")
    make_folder(output)
