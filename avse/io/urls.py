"""Recognise URLs that were given where a file or a folder is expected, and say what to do instead."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from urllib.parse import unquote

from avse.errors import UsageError
from avse.io.ffmpeg_binary import shell_command

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.IGNORECASE | re.DOTALL)
_LIVE = frozenset({"rtmp", "rtmps", "rtmpt", "rtsp", "rtsps", "rtp", "srt", "udp", "tcp", "mms", "mmsh", "rist"})
_WEB = frozenset({"http", "https", "ftp", "ftps"})


def find_url(path: Path | str) -> str:
    """Return the URL that a path was meant as, with both of its slashes; an empty text for any other path."""
    found = _URL.match(str(path))
    if not found or Path(path).exists():
        return ""
    slashes = "///" if found[1].lower() == "file" else "//"
    return f"{found[1]}:{slashes}{found[2]}"


def hint_for(url: str) -> str:
    """Return what to do about a recording behind a URL."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() == "file":
        return f"Use its path: {unquote(rest)}"
    if scheme.lower() in _LIVE:
        command = shell_command(f"-i '{url}' -c copy RECORDED.mkv")
        return f"Record it first: {command}"
    if scheme.lower() in _WEB:
        return f"Download it first: curl -LO '{url}'"
    return "Download it first; avse batch reads and writes folders behind such a URL."


def missing(path: Path, kind: str = "file", hint: str = "Check the path.") -> UsageError:
    """Return the error for a file or folder that is not there: a URL is called one."""
    if url := find_url(path):
        return UsageError(f"{url} is a URL, not a {kind}.", hint_for(url))
    if path.is_symlink():
        leads = "itself" if is_loop(path) else f"{os.readlink(path)}, which is not there"
        return UsageError(f"{path} is a symbolic link to {leads}.", hint)
    return UsageError(f"There is no {kind} {path}.", hint)


def is_loop(path: Path) -> bool:
    """Tell whether symbolic links on the way to a path lead back to themselves."""
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


def real_path(path: Path) -> Path:
    """Return a path without symbolic links; `Path.resolve` fails on those that lead to themselves."""
    return Path(os.path.realpath(path))


def check_local(output: Path) -> None:
    """Raise UsageError for an output that is a URL, and not a name in a folder that is there."""
    if (url := find_url(output)) and not output.parent.is_dir():
        raise UsageError(f"{url} is a URL; outputs must be local.", "Write to a local file or folder, then upload it.")
