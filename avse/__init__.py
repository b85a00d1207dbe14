"""Audio-visual speech enhancement: the voice of the person one looks at, without the other voices and the noise.

    import avse

    avse.enhance("input.mp4", output="clean.wav")
    result = avse.enhance("input.mp4")                            # result.waveform, result.sample_rate
    model = avse.load_model()
    clean = model.enhance(waveform, sample_rate, frames, fps)     # arrays or tensors

Importing ``avse`` is quick: what needs torch is loaded when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avse.enhance import enhance
    from avse.model import load_model

__all__ = ["__version__", "enhance", "load_model"]
__version__ = "0.1.0"

_HOME_OF = {"enhance": "avse.enhance", "load_model": "avse.model"}


class _Package(ModuleType):
    """Python binds an imported submodule on its package; that must not hide the function ``avse.enhance``."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _HOME_OF and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
