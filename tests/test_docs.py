"""The pages in docs/: they build without a warning, ask no other host for anything, and their commands exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_blocks import ROOT, Command, blocks, commands, complaint
from typer.main import get_command

import avse
from avse.enhancement.result import NO_WARNINGS
from avse_cli.main import app

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])


class Resources(HTMLParser):
    """Everything that a browser fetches by itself to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        links = tag == "link" and given.get("rel") not in ("canonical", "next", "prev")
        if tag in ("script", "img", "source", "audio", "video", "iframe") or links:
            self.found += [str(given[name]) for name in ("src", "href", "data-src") if given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def test_the_site_asks_no_other_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        resources = Resources()
        resources.feed(page.read_text(encoding="utf-8"))
        assert resources.found
        assert [each for each in resources.found if re.match(r"(https?:)?//", each)] == [], page.name


def test_the_site_shows_the_help_and_the_docstrings(site: Path) -> None:
    helps = (site / "commands.html").read_text(encoding="utf-8")
    assert "avse models convert" in helps
    assert "help of every command" not in helps.split("<footer")[0].split("Usage:")[1]
    assert "Enhance the voice of one person" in (site / "python.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_on_the_page_exist(page: Path) -> None:
    wrong = {command.line: problem for command in commands(page) if (problem := complaint(command))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("avse enhance a.mp4 -o b.wav", ""),
        ("avse prepare a/", "Missing"),
        ("avse enhance a.mp4 -o b.wav --shout", "o such option"),
        ("avse models verify x", ""),
        ("avse models burn x", "no command burn"),
        ("avse sing", "no command sing"),
        ("avse doctor --json > for-the-report.json", ""),
        ("make demo", ""),
        ("make coffee", "no target coffee"),
        ("pip install -c constraints.txt '.[train]'", ""),
        ("pip install '.[coffee]'", "no extra coffee"),
        ("python benchmarks/coffee.py", "no file"),
        ("format-c", "no known program"),
    ],
)
def test_wrong_commands_are_found(line: str, problem: str) -> None:
    assert problem in complaint(Command(line))
    assert bool(problem) == bool(complaint(Command(line)))


def test_commands_and_their_outputs_are_distinguished(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ avse models\nname\n$ avse doctor \\\n  --json\n```\n\n    avse samples\n    Done.\n")
    assert commands(page) == [
        Command("avse models", ("name",)),
        Command("avse doctor    --json"),
        Command("avse samples"),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_on_the_page_compiles(page: Path) -> None:
    for text in blocks(page, "python"):
        compile(text, str(page), "exec")


def test_the_citation_names_this_version_and_all_papers() -> None:
    yaml = pytest.importorskip("yaml")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == avse.__version__
    papers = {paper["identifiers"][0]["value"] for paper in cited["references"]}
    assert papers == {"arXiv:1911.08670", "arXiv:2103.05677", "arXiv:2012.07175", "arXiv:2108.05009"}


def test_the_workflow_runs_what_ci_runs() -> None:
    yaml = pytest.importorskip("yaml")
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert ".ci/run" in steps
    targets = [step.removeprefix("make ") for step in steps if step.startswith("make ")]
    assert [target for target in targets if complaint(Command(f"make {target}"))] == []
    supported = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert jobs["test"]["strategy"]["matrix"]["python"] == supported


def test_every_page_can_be_reached() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if f": {page}\n" not in nav} == set(), "to be listed in mkdocs.yml, below nav"


def test_every_code_of_a_warning_is_explained() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "avse").rglob("*.py")]
    codes = {code for text in sources for code in re.findall(r'\b(?:Message|Loss)\(\s*"([a-z_]+)"', text)} - NO_WARNINGS
    assert len(codes) > 10
    page = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_the_page_of_commands_lists_all_of_them() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        assert command.hidden or f"| `avse {name}` | {command.get_short_help_str(200)} |" in page


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.gpu"])
def test_an_image_is_built_from_all_packages(name: str) -> None:
    """The folders of all packages are copied, and are not left out of what is sent to Docker."""
    renamed = re.search(
        r"^package-dir = \{(.*)\}$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert renamed
    folders = {"avse", *re.findall(r'"(\w+)"', renamed[1])}
    assert {"checkpoints", "cli", "configs"} <= folders
    copied = set(re.findall(r"^COPY (\S+) \./\1$", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    assert folders <= copied & sent
