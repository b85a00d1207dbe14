"""Audio-visual speech enhancement: extract one person's speech from a video, using the audio and the lip movements.

    import avse

    avse.enhance("input.mp4", output="clean.wav")
    result = avse.enhance("input.mp4")                            # result.waveform, result.sample_rate
    model = avse.load_model()
    clean = model.enhance(waveform, sample_rate, frames, fps)     # arrays or tensors
    stream = avse.StreamEnhancer(sample_rate, fps)                # live: stream.push(audio, frames), stream.flush()

Importing ``avse`` is quick: torch is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from avse import former_names as _former_names  # noqa: F401
from avse.version import __version__

if TYPE_CHECKING:
    from avse.enhancement.all_speakers import enhance_all
    from avse.enhancement.enhancer import Enhancer, load_model
    from avse.enhancement.pipeline import enhance
    from avse.enhancement.result import Result
    from avse.enhancement.stream_enhancer import StreamEnhancer

__all__ = ["Enhancer", "Result", "StreamEnhancer", "__version__", "enhance", "enhance_all", "load_model"]

_HOME_OF = {
    "Enhancer": "avse.enhancement.enhancer",
    "Result": "avse.enhancement.result",
    "StreamEnhancer": "avse.enhancement.stream_enhancer",
    "enhance": "avse.enhancement.pipeline",
    "enhance_all": "avse.enhancement.all_speakers",
    "load_model": "avse.enhancement.enhancer",
}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
