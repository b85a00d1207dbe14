"""Channel layouts: the one under which an encoder keeps every channel, in its place and with all its frequencies."""

from __future__ import annotations

from collections.abc import Mapping

from avse.io.recording import AudioStream

_FULL_BAND = {3: "3.0", 7: "7.0"}
"""Where ffmpeg would choose a layout with a low-frequency channel: AAC keeps only low tones of that."""
_NO_LOW_TONES = {6: "6.0", 8: "octagonal"}
"""Where it would choose one with a low-frequency channel, too, which has no loudness."""
_SAME = ("3.0(back)", "3.1", "quad", "4.1", "hexagonal", "6.1(back)", "7.1(wide)", "octagonal")
_AAC = {
    **dict(zip(_SAME, _SAME, strict=True)),
    "quad(side)": "quad", "6.0": "hexagonal", "6.0(front)": "hexagonal", "cube": "octagonal",
}  # fmt: skip
"""Layouts that AAC keeps, and those under which it keeps all channels of layouts that it reorders or refuses."""
_OPUS = {3: "3.0", 4: "quad"}
_APART, _PERMUTED = "255", (5, 7)
"""Opus' mapping family for channels without places, and where it is needed: ffmpeg permutes 5.0 and 6.1."""


def layout_arguments(encoder: str, audio: AudioStream, number: int = 0) -> list[str]:
    """Return ffmpeg's arguments for the layout of output track ``number``; none where its own choice is right."""
    if encoder == "libopus":
        if audio.num_channels in _PERMUTED:
            return [f"-mapping_family:{number}", _APART]
        return _relabel(audio.num_channels, _OPUS, number)
    if encoder == "aac" and (layout := _AAC.get(audio.layout)):
        return _relabel(audio.num_channels, {audio.num_channels: layout}, number)
    return _relabel(audio.num_channels, _FULL_BAND, number) if encoder != "flac" else []


def placing_filter(audio: AudioStream) -> str:
    """Return the filter that gives channels without names those of the recording; full-band ones where it has none."""
    if audio.num_channels > 2 and audio.layout and "+" not in audio.layout:
        return _naming(audio.num_channels, audio.layout)
    layout = (_FULL_BAND | _NO_LOW_TONES).get(audio.num_channels)
    return _naming(audio.num_channels, layout) if layout else ""


def _relabel(num_channels: int, layouts: Mapping[int, str], number: int) -> list[str]:
    """Return arguments for the filter that gives the channels other names."""
    return [f"-filter:{number}", _naming(num_channels, layouts[num_channels])] if num_channels in layouts else []


def _naming(num_channels: int, layout: str) -> str:
    """Return the filter that gives the channels other names, and leaves them in order."""
    return f"channelmap=map={'|'.join(map(str, range(num_channels)))}:channel_layout={layout}"
