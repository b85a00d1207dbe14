"""Find the ffmpeg to use: the bundled one, so that every machine decodes in the same way, unless AVSE_FFMPEG is set."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from avse.errors import MissingError

VARIABLE = "AVSE_FFMPEG"
REINSTALL = "Type: pip install --force-reinstall imageio-ffmpeg"


@dataclass(frozen=True)
class Binary:
    """Hold the path of an ffmpeg executable, and its origin: ``AVSE_FFMPEG``, ``bundled`` or ``PATH``."""

    path: str
    source: str

    @property
    def remedy(self) -> str:
        """Return what to type if it does not start."""
        return f"Type: unset {VARIABLE}; the bundled ffmpeg is then used." if self.source == VARIABLE else REINSTALL


def find_ffmpeg() -> Binary:
    """Return the executable that AVSE_FFMPEG names, else the one inside imageio-ffmpeg, else the one on the PATH.

    Raises:
        MissingError: AVSE_FFMPEG names no program, or there is none at all.
    """
    return _find(os.environ.get(VARIABLE, ""), os.environ.get("PATH"))


def shell_command(arguments: str) -> str:
    """Return a command for a hint: ffmpeg by name if it is on the PATH, else by the path of the one that is used."""
    return f"{'ffmpeg' if shutil.which('ffmpeg') else shlex.quote(find_ffmpeg().path)} {arguments}"


def _find(named: str, path: str | None) -> Binary:
    if named:
        if found := shutil.which(named, path=path):
            return Binary(found, VARIABLE)
        raise MissingError(
            f"{VARIABLE}={named} is not an executable program.",
            f"Set it to an ffmpeg program, or type: unset {VARIABLE}",
        )
    if bundled := _bundled():
        return Binary(bundled, "bundled")
    if found := shutil.which("ffmpeg", path=path):
        return Binary(found, "PATH")
    raise MissingError("ffmpeg was not found on this machine.", "Type: pip install imageio-ffmpeg")


@cache
def _bundled() -> str | None:
    """Return the executable inside the package imageio-ffmpeg, regardless of IMAGEIO_FFMPEG_EXE."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    found = sorted(Path(imageio_ffmpeg.__file__).parent.glob("binaries/ffmpeg*"))
    return next((str(path) for path in found if os.access(path, os.X_OK)), None)
