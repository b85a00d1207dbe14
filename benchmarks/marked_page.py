"""Pages whose figures a program makes and whose conclusions people write: a rerun leaves what people wrote.

What is made is between marks, ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from avse.io.atomic import atomic_path

BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
MARK = re.compile(r"<!-- (\w+): (begin|end) -->")


def add_force(parser: argparse.ArgumentParser) -> None:
    """Add the option --force."""
    parser.add_argument("--force", action="store_true", help="replace the whole page, also what people wrote")


def check_page(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """End the program before any work if ``options.output`` exists and does not say what may be replaced."""
    path: Path = options.output
    if options.force or not path.exists():
        return
    found = MARK.findall(path.read_text(encoding="utf-8"))
    names = [name for name, kind in found if kind == "begin"]
    pairs = [(name, kind) for name in dict.fromkeys(names) for kind in ("begin", "end")]
    if not found or found != pairs:
        problem = "has marks that do not pair" if found else "has no marks around what may be replaced"
        parser.exit(2, f"{path} {problem}.\nUse another --output, or --force to replace the whole page.\n")


def write_page(path: Path, title: str, parts: Mapping[str, str], force: bool = False) -> str:
    """Write a page of parts between marks, and return it; of one that exists, replace the parts whose marks it has."""
    marked = {name: f"{BEGIN.format(name)}\n\n{part.strip()}\n\n{END.format(name)}" for name, part in parts.items()}
    text = "\n\n".join([f"# {title}", *marked.values()]) + "\n"
    if path.exists() and not force:
        text = path.read_text(encoding="utf-8")
        for name, part in marked.items():
            before, begin, rest = text.partition(BEGIN.format(name))
            if begin:
                text = before + part + rest.partition(END.format(name))[2]
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return text
