"""The arrows between the parts of the library: who may import whom, and that there is no way round in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"avse": "avse", "avse_cli": "cli"}

BANDS = {
    "A": "errors records config files progress tasks workers",
    "B": "media packets sandbox audio overlap stream loudness output",
    "C": "faces tracks people looks shots upright portrait lips features",
    "D": "models",
    "E": "header checkpoint registry",
    "F": "data",
    "G": "training",
    "H": "enhance choice speakers sync crowd each sheet model separation batch batch_ray doctor evaluation "
    "stages floors footprint bench",
}
BAND_OF = {module: band for band, modules in BANDS.items() for module in modules.split()}
MAY_USE = {"A": "A", "B": "AB", "C": "ABC", "D": "AD", "E": "ADE", "F": "ABCF", "G": "ABCDEFG", "H": "ABCDEH"}
ALSO = {"evaluation": "F"}
"""The folders of mixtures that evaluation reads are those that data writes: one description serves both."""

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
        targets = {
            name if name in modules else name.rpartition(".")[0] or name for name in names - {"avse.__version__"}
        }
        graph[module] = {target for target in targets if target.partition(".")[0] in (*FOLDERS, "cli")}
    return graph


def band(module: str) -> str | None:
    return BAND_OF.get(module.split(".")[1]) if "." in module else None


def may_use(module: str) -> str:
    """The bands that a module may import from."""
    return MAY_USE.get(band(module) or "", "") + ALSO.get(module.split(".")[1], "")


def violations(graph: Graph) -> list[str]:
    """One line for each arrow that points the wrong way, and for each module without a band."""
    library = [module for module in graph if module.startswith("avse.")]
    found = [f"{module} has no band" for module in library if band(module) is None]
    for module in library:
        for target in sorted(graph[module]):
            if (band(target) or "nothing") not in may_use(module):
                found.append(f"{module} imports {target}")
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


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("avse/media.py", "from avse.faces import detect", "avse.media imports avse.faces"),
        ("avse/media.py", "def f():\n    import avse.faces", "avse.media imports avse.faces"),
        ("avse/models/net.py", "from avse import media", "avse.models.net imports avse.media"),
        ("avse/models/net.py", "from ..media import read", "avse.models.net imports avse.media"),
        ("avse/enhance.py", "from avse.data.mixing import mix", "avse.enhance imports avse.data"),
        ("avse/enhance.py", "from .training import loop", "avse.enhance imports avse.training.loop"),
        ("avse/data/mixing.py", "import avse.training.loop", "avse.data.mixing imports avse.training.loop"),
        ("avse/errors.py", "from avse_cli.main import app", "avse.errors imports avse_cli.main"),
        ("avse/errors.py", "import cli", "avse.errors imports cli"),
        ("avse/media.py", "from avse import load_model", "avse.media imports avse"),
        ("avse/novelty.py", "", "avse.novelty has no band"),
    ],
)
def test_wrong_arrow_is_found(tmp_path, file, text, expected):
    tree = dict.fromkeys(["avse/__init__.py", "avse/faces.py", "avse/data/__init__.py", "avse/training/loop.py"], "")
    tree |= {"avse/media.py": "", "cli/main.py": ""}
    assert violations(make_tree(tmp_path, tree)) == []
    assert expected in "\n".join(violations(make_tree(tmp_path, {file: text})))


def test_right_arrows_are_let_through(tmp_path):
    tree = {
        "avse/__init__.py": "from avse.enhance import enhance",
        "avse/media.py": "import numpy\nfrom avse.errors import InputError",
        "avse/errors.py": "",
        "avse/checkpoint.py": "from avse import __version__\nfrom .models import net",
        "avse/models/net.py": "from avse.models import unet",
        "avse/models/unet.py": "",
        "avse/enhance.py": "from avse import checkpoint, media",
        "cli/main.py": "from .options import device\nfrom avse.enhance import enhance",
        "cli/options.py": "",
    }
    graph = make_tree(tmp_path, tree)
    assert violations(graph) == []
    assert graph["avse.enhance"] == {"avse.checkpoint", "avse.media"}
    assert graph["avse_cli.main"] == {"avse_cli.options", "avse.enhance"}


def test_cycle_is_found(tmp_path):
    graph = make_tree(tmp_path, {"avse/faces.py": "import avse.lips", "avse/lips.py": "from .faces import detect"})
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()


def test_importing_avse_is_silent_and_loads_nothing_heavy():
    program = "import avse, sys; print({'torch', 'torchaudio', 'librosa', 'numpy', 'scipy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("set()", "")
