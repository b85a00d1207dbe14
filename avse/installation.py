"""Find out how this avse was installed, and the command that installs it again, or with an optional extra.

avse is on no package index, so a hint names the checkout, the wheel file or the URL that it came from (PEP 610), or
else the packages of the extra themselves.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = "avse"
_FROM_SCRATCH = "Reinstall avse from the checkout or wheel file that it came from."


def install_hint(extra: str) -> str:
    """Return the command that installs an extra of avse."""
    if source := _source(extra):
        return f"Type: {_pip()} install {source}"
    packages = _requirements(extra)
    return f"Type: {_pip()} install {shlex.join(packages)}" if packages else _FROM_SCRATCH


def reinstall_hint() -> str:
    """Return the command that reinstalls all files of avse."""
    source = _source("")
    return f"Type: {_pip()} install --force-reinstall --no-deps {source}" if source else _FROM_SCRATCH


def restore_hint() -> str:
    """Return the command that restores the shipped models."""
    checkout = _checkout()
    return f"Type: git -C {shlex.quote(str(checkout))} restore checkpoints" if checkout else reinstall_hint()


def _pip() -> str:
    """Return the pip of this Python: ``pip`` where the shell finds that one."""
    found = shutil.which("pip")
    is_own = found is not None and Path(found).parent == Path(sys.executable).parent
    return "pip" if is_own else f"{shlex.quote(sys.executable)} -m pip"


def _source(extra: str) -> str | None:
    """Return pip's arguments for what avse was installed from, if it is still there."""
    suffix = f"[{extra}]" if extra else ""
    if checkout := _checkout():
        return f"{_constraints(checkout)}-e {shlex.quote(f'{checkout}{suffix}')}"
    origin = _direct_url()
    url = str(origin.get("url", ""))
    if url.startswith("file:"):
        path = Path(unquote(urlsplit(url).path))
        return f"{_constraints(path)}{shlex.quote(f'{path}{suffix}')}" if path.exists() else None
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return shlex.quote(f"{NAME}{suffix} @ {url}") if url else None


def _checkout() -> Path | None:
    """Return the checkout that this file lies in; None for an installed copy."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "pyproject.toml").is_file() else None


def _constraints(folder: Path) -> str:
    path = folder / "constraints.txt"
    return f"-c {shlex.quote(str(path))} " if path.is_file() else ""


def _direct_url() -> dict[str, Any]:
    """Return the origin recorded by pip; nothing for a package of an index or of ``--find-links``."""
    try:
        text = metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return {}
    return dict(json.loads(text)) if text else {}


def _requirements(extra: str) -> list[str]:
    """Return the packages of an extra, as the metadata of avse names them."""
    try:
        lines = metadata.requires(NAME) or []
    except metadata.PackageNotFoundError:
        return []
    pairs = [line.partition(";")[::2] for line in lines]
    return [package.strip() for package, marker in pairs if re.search(rf"""extra == ["']{extra}["']""", marker)]
