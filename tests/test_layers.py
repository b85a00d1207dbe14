"""The arrows between the parts of the library: who may import whom, and that there is no way round in a circle."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"avse": "avse", "avse_cli": "cli"}

BASE = {"errors", "config", "installation", "progress", "version"}
MAY_USE = {
    "errors": set(),
    "former_names": set(),
    "installation": set(),
    "progress": set(),
    "version": set(),
    "config": {"errors"},
    "dsp": {*BASE},
    "io": {*BASE, "dsp"},
    "faces": {*BASE, "dsp", "io"},
    "models": {*BASE},
    "features": {*BASE, "dsp", "models"},
    "weights": {*BASE, "io", "models"},
    "active_speaker": {*BASE, "dsp", "io", "faces", "models", "features"},
    "enhancement": {*BASE, "dsp", "io", "faces", "models", "features", "weights", "active_speaker"},
    "parallel": {*BASE},
    "data": {*BASE, "dsp", "io", "faces", "parallel"},
    "training": {*BASE, "dsp", "io", "models", "features", "weights", "data"},
    "evaluation": {*BASE, "dsp", "io", "faces", "weights", "enhancement", "parallel", "data"},
    "reports": {*BASE, "io", "evaluation"},
    "batch": {*BASE, "io", "weights", "active_speaker", "enhancement", "parallel", "evaluation", "reports"},
    "ui": {*BASE, "dsp", "io", "faces", "weights", "active_speaker", "enhancement", "reports"},
    "profiling": {*BASE, "dsp", "io", "faces", "models", "weights", "active_speaker", "enhancement"},
    "doctor": {*BASE, "io", "faces", "weights"},
}
"""One row for each package or module of `avse`, from the bottom up, with what it may import besides itself."""

Graph = dict[str, set[str]]


def find_modules(root: Path) -> dict[str, Path]:
    """Dotted name to file, for every module of the library and of the command line."""
    modules = {}
    for package, folder in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            modules[".".join((package, *(part for part in parts if part != "__init__")))] = path
    return modules


def imported_names(module: str, path: Path) -> set[str]:
    """All dotted names that a file imports, at its top or inside functions; ``from a import b`` counts as ``a.b``."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            names |= {f"{source}.{alias.name}" for alias in node.names}
    return names


def build_graph(root: Path) -> Graph:
    """Each module with the modules of the project that it imports; ``avse`` itself only re-exports, and has none."""
    modules = find_modules(root)
    graph: Graph = {}
    for module, path in modules.items():
        names = set() if module == "avse" else imported_names(module, path)
        targets = {name if name in modules else name.rpartition(".")[0] or name for name in names}
        graph[module] = {target for target in targets if target.partition(".")[0] in (*FOLDERS, "cli")}
    return graph


def package(module: str) -> str:
    """The package of `avse` to which a module belongs, or the module itself if it stands alone."""
    return module.split(".")[1] if module.startswith("avse.") else module


def violations(graph: Graph) -> list[str]:
    """One line for each import that the table forbids, and for each package without a row."""
    library = [module for module in graph if module.startswith("avse.")]
    found = [f"{module} has no row" for module in library if package(module) not in MAY_USE]
    for module in library:
        own = package(module)
        allowed = MAY_USE.get(own, set()) | {own}
        found += [f"{module} imports {target}" for target in sorted(graph[module]) if package(target) not in allowed]
    return found


def make_tree(root: Path, files: dict[str, str]) -> Graph:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return build_graph(root)


def test_arrows_of_the_project_point_one_way():
    graph = build_graph(ROOT)
    assert {"avse.errors", "avse.models.fusion.mmtm"} <= set(graph)
    assert violations(graph) == []


def test_project_has_no_import_cycle():
    TopologicalSorter(build_graph(ROOT)).prepare()


def test_table_is_in_order_and_lists_only_packages_that_exist():
    rows = list(MAY_USE)
    assert all(rows.index(used) < rows.index(row) for row, uses in MAY_USE.items() for used in uses)
    assert set(rows) == {package(module) for module in find_modules(ROOT) if module.startswith("avse.")}


def test_library_has_few_modules_beside_its_packages():
    assert len({path.stem for path in (ROOT / "avse").glob("*.py")} - {"__init__"}) <= 8


ACROSS_MODULES = {
    "cli/test_help", "cli/test_several", "enhancement/test_do_no_harm", "enhancement/test_everyone",
    "enhancement/test_one_pipeline", "enhancement/test_pipes_and_arrays", "io/test_odd_recordings",
    "io/test_reader_formats", "io/test_true_cause", "models/fusion/test_fusion", "parallel/test_ray_nodes",
    "reports/test_pages", "training/test_smil_options", "weights/test_shipped",
}  # fmt: skip
"""Tests of what several modules of a package do together."""


def test_tests_mirror_the_tree():
    tests = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    inside = {path for path in tests if path.parts[0] not in (path.name, "benchmarks", "browser")}
    sources = {path: ("" if path.parts[0] == "cli" else "avse") / path.with_name(path.name[5:]) for path in inside}
    astray = {path.with_suffix("").as_posix() for path, source in sources.items() if not (ROOT / source).is_file()}
    assert astray == ACROSS_MODULES


def reachable(package: str) -> set[str]:
    """Return all packages that the table lets one import, directly or through others."""
    return MAY_USE[package].union(*(reachable(used) for used in MAY_USE[package]))


@pytest.mark.parametrize(
    ("package", "unknown"),
    [
        ("faces", {"active_speaker", "enhancement", "models"}),
        ("active_speaker", {"enhancement", "weights"}),
        ("models", {"io", "dsp"}),
        ("enhancement", {"training", "data", "evaluation", "reports"}),
        ("training", {"enhancement", "evaluation", "reports"}),
        ("evaluation", {"reports", "training", "batch"}),
    ],
)
def test_table_keeps_the_stages_apart(package, unknown):
    assert not reachable(package) & unknown


def lines_with(pattern: str, root: Path = ROOT / "avse") -> dict[str, list[str]]:
    """Return the lines that match a pattern, by file."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if re.search(pattern, line)]
        if lines:
            found[path.relative_to(root).as_posix()] = lines
    return found


def test_ffmpeg_is_started_in_one_place():
    programs = r"subprocess\.(Popen|run|call|check_\w+)\(|os\.(system|popen|exec\w+|spawn\w+|posix_spawn\w*)\("
    others = {"evaluation/pesq_worker.py", "evaluation/systems.py", "profiling/process.py", "ui/workspace.py"}
    assert set(lines_with(programs)) == {"io/ffmpeg.py", *others}
    assert set(lines_with(r"ffmpeg_exe\(\)")) == {"io/ffmpeg.py", "doctor.py"}
    assert set(lines_with(r"get_ffmpeg_exe|\bffmpeg\.run\(|run_async\(")) <= {"io/ffmpeg_binary.py"}
    assert not set(lines_with(r"ffmpeg_exe|find_ffmpeg")) & others


def test_modules_are_imported_by_statements_alone():
    assert set(lines_with(r"import_module|__import__")) <= {"__init__.py", "doctor.py", "former_names.py"}


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("avse/io/reader.py", "from avse.faces import detect", "avse.io.reader imports avse.faces"),
        ("avse/io/reader.py", "def f():\n    import avse.faces.tracking", "avse.io.reader imports avse.faces.tracking"),
        ("avse/models/net.py", "from avse.io import reader", "avse.models.net imports avse.io.reader"),
        ("avse/models/net.py", "from ..io.reader import read", "avse.models.net imports avse.io.reader"),
        ("avse/enhancement/pipeline.py", "from avse.data.mix import mix", "imports avse.data.mix"),
        ("avse/active_speaker/scene.py", "from avse.enhancement import pipeline", "imports avse.enhancement.pipeline"),
        ("avse/evaluation/scoring.py", "import avse.reports.page", "avse.evaluation.scoring imports avse.reports.page"),
        ("avse/errors.py", "from avse_cli.main import app", "avse.errors imports avse_cli.main"),
        ("avse/errors.py", "import cli", "avse.errors imports cli"),
        ("avse/io/reader.py", "from avse import load_model", "avse.io.reader imports avse"),
        ("avse/novelty.py", "", "avse.novelty has no row"),
    ],
)
def test_wrong_arrow_is_found(tmp_path, file, text, expected):
    empty = ("__init__", "faces/__init__", "faces/tracking", "data/mix", "enhancement/pipeline", "reports/page")
    tree = dict.fromkeys([f"avse/{name}.py" for name in (*empty, "io/reader")] + ["cli/main.py"], "")
    assert violations(make_tree(tmp_path, tree)) == []
    assert expected in "\n".join(violations(make_tree(tmp_path, {file: text})))


def test_right_arrows_are_let_through(tmp_path):
    tree = {
        "avse/__init__.py": "from avse.enhancement.pipeline import enhance",
        "avse/version.py": "",
        "avse/io/reader.py": "import numpy\nfrom avse.errors import InputError",
        "avse/errors.py": "",
        "avse/weights/checkpoint.py": "from avse.version import __version__\nfrom ..models import net",
        "avse/models/net.py": "from avse.models import unet",
        "avse/models/unet.py": "",
        "avse/enhancement/pipeline.py": "from avse.weights import checkpoint\nfrom avse.io import reader",
        "cli/main.py": "from .options import device\nfrom avse.enhancement.pipeline import enhance",
        "cli/options.py": "",
    }
    graph = make_tree(tmp_path, tree)
    assert violations(graph) == []
    assert graph["avse.enhancement.pipeline"] == {"avse.weights.checkpoint", "avse.io.reader"}
    assert graph["avse_cli.main"] == {"avse_cli.options", "avse.enhancement.pipeline"}


def test_cycle_is_found(tmp_path):
    graph = make_tree(tmp_path, {"avse/faces.py": "import avse.lips", "avse/lips.py": "from .faces import detect"})
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()


def test_importing_avse_is_silent_and_loads_nothing_heavy():
    program = "import avse, sys; print({'torch', 'torchaudio', 'librosa', 'numpy', 'scipy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("set()", "")
