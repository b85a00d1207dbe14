"""The common page of all reports: a template, one style sheet and one script in one file.

Every value is escaped. In addition, the page's content security policy lets a browser run only the page's own script,
and load nothing: names of recordings and items stay text.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from avse.io import atomic
from avse.io.listing import describe_passed_over
from avse.version import __version__

NOTHING = "\N{EN DASH}"
MAX_NAMES = 50
MINUS = "\N{MINUS SIGN}"


@functools.cache
def template_environment(package: str) -> Any:
    """Return the Jinja environment for the templates of a package, in which every value is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "signed": signed, "span": span}
    return environment


def write_page(output: Path, template: str, **context: Any) -> Path:
    """Fill a template, write it whole to ``output`` and return ``output``."""
    style, script = _part("report.css"), _part("report.js")
    text = (
        template_environment("avse.reports")
        .get_template(template)
        .render(context, style=Markup(style), script=Markup(script), policy=_policy(script), version=__version__)
    )
    with atomic.atomic_path(output) as partial:
        partial.write_text(text, encoding="utf-8", errors="replace")
    return output


def number(value: Any, digits: int = 2) -> str:
    """Format a number; a dash where there is none."""
    if not is_number(value):
        return NOTHING
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)


def signed(value: Any, digits: int = 2) -> str:
    """Format a difference, always with its sign."""
    if not is_number(value):
        return NOTHING
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", MINUS)


def span(seconds: Any) -> str:
    """Format a duration: 3.5 s, 2 min 05 s, 1 h 02 min."""
    if not is_number(seconds):
        return NOTHING
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Convert nested facts to pairs of text: {"a": {"b": 1}} gives ("a, b", "1")."""
    pairs = []
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            pairs += flat(value, f"{name}, ")
        else:
            pairs.append((name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)))
    return pairs


def facts_of(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Convert the facts of a run that have a value to pairs of text; ignored files by number and first names."""
    passed_over = summary.get("passed_over")
    named = {}
    if isinstance(passed_over, Mapping):
        names = list(passed_over)
        more = ["..."] if len(names) > MAX_NAMES else []
        named = {
            "passed_over": "; ".join(
                filter(None, [describe_passed_over(passed_over), ", ".join(names[:MAX_NAMES] + more)])
            )
        }
    return flat({key: value for key, value in {**summary, **named}.items() if value not in (None, "")})


def data_uri(kind: str, data: bytes) -> str:
    """Return bytes as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def _part(name: str) -> str:
    return resources.files("avse.reports").joinpath("templates").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "media-src data:; base-uri 'none'; form-action 'none'"
    )
