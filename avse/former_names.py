"""Import modules by their former names, with a DeprecationWarning, until the next version."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FORMER = {
    "avse.checkpoint": ("avse.weights.checkpoint", ("Checkpoint", "convert", "load_checkpoint", "save_checkpoint")),
    "avse.each": ("avse.enhancement.all_speakers", ("enhance_each",)),
    "avse.model": ("avse.enhancement.enhancer", ("Model", "load_model")),
    "avse.registry": ("avse.weights.pretrained", ("DEFAULT", "card", "find", "load_model", "names", "verify")),
}
RENAMED = {"Model": "Enhancer", "enhance_each": "enhance_all"}


class _FormerModules(Loader, MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in FORMER else None

    def exec_module(self, module: ModuleType) -> None:
        home, names = FORMER[module.__name__]
        warnings.warn(f"{module.__name__} is now {home}.", DeprecationWarning, stacklevel=2)
        source = import_module(home)
        vars(module).update({name: getattr(source, RENAMED.get(name, name)) for name in names}, __all__=list(names))


if not any(type(finder).__name__ == _FormerModules.__name__ for finder in sys.meta_path):
    sys.meta_path.append(_FormerModules())
