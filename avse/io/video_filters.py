"""ffmpeg's filters and options that bring the frames of a video to one size and one rate."""

from __future__ import annotations

from functools import cache

from avse.io.ffmpeg import ask
from avse.io.ffmpeg_binary import find_ffmpeg
from avse.io.probe import SQUARE_SIZE


def constant_frame_rate() -> dict[str, str]:
    """Return the option that makes an output repeat and drop frames to keep its rate; ffmpeg 5.1 renamed it."""
    binary = find_ffmpeg()
    return {"fps_mode": "cfr"} if binary.source == "bundled" or _has_fps_mode(binary.path) else {"vsync": "cfr"}


@cache
def _has_fps_mode(path: str) -> bool:
    return "-fps_mode" in ask("-h", "long")


def with_small_below(width: int, height: int, max_side: int, as_stored: bool) -> str:
    """Return filters that make a frame grey, or leave its luma as it is stored, and put a small grey copy of it below.

    Luma that is called full range on both sides of a conversion is copied.
    """
    small = shrunk(width, height, max_side)
    below = f"[copy]scale={small}:flags=area,format=gray,pad={width}:{small.partition(':')[2]}[small]"
    grey = "scale=in_range=full:out_range=full" if as_stored else "scale"
    return f"split[whole][copy];{below};[whole]{grey},format=gray[grey];[grey][small]vstack"


def letterbox(width: int, height: int) -> list[str]:
    """Return filters that bring frames of any size to one size and keep their shape; others are left as they are.

    `pad` knows sizes that chroma planes can have alone, so what is beyond the size is cut off again.
    """
    even_width, even_height = -(-width // 4) * 4, -(-height // 4) * 4
    filters = [
        f"scale={SQUARE_SIZE}:eval=frame",
        "setsar=1",
        f"scale={width}:{height}:force_original_aspect_ratio=decrease:eval=frame",
        f"pad={even_width}:{even_height}:if(eq(iw\\,{width})\\,0\\,(ow-iw)/2):if(eq(ih\\,{height})\\,0\\,(oh-ih)/2)"
        ":eval=frame",
    ]
    cut = f"crop={width}:{height}:0:0:exact=1"
    return filters if (even_width, even_height) == (width, height) else [*filters, cut]


def shrunk(width: int, height: int, max_side: int) -> str:
    """Return the frame size with that longer side, as an argument of ffmpeg's scale filter."""
    scale = max_side / max(width, height)
    return f"{max(int(scale * width), 2)}:{max(int(scale * height), 2)}"
