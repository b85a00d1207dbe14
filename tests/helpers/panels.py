"""Two made-up people side by side, who take turns or speak at once, and lips that an untrained net can read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avse.active_speaker import detection
from avse.data.synthetic.clips import write_video
from avse.data.synthetic.face import talking_head
from avse.data.synthetic.speech import speak


def write_panel(path: Path, left_speaks: np.ndarray, right_speaks: np.ndarray) -> np.ndarray:
    """Write two talking heads; each speaks in the video frames (V,) that its flag names. Returns both voices (2, N)."""
    heads, voices = [], []
    for k, (speaks, pitch_hz) in enumerate(((left_speaks, 205.0), (right_speaks, 112.0))):
        count = int(speaks.sum())
        speech = speak(max(count / 25, 0.2), 16000, k, pitch_hz=pitch_hz)
        opening, voice = np.zeros(len(speaks), np.float32), np.zeros(len(speaks) * 640, np.float32)
        opening[speaks] = speech.opening[:count]
        voice[np.repeat(speaks, 640)] = speech.waveform[: count * 640]
        heads.append(talking_head(opening, (240, 240), seed=k))
        voices.append(voice)
    both = (np.hstack([left, right]) for left, right in zip(*heads, strict=True))
    write_video(path, both, voices[0] + voices[1], 16000)
    return np.stack(voices)


def make_lips_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predict the energies from how far a mouth is open, in place of a trained lip stream."""
    monkeypatch.setattr(detection, "_observe", _readable(detection._observe))


def _readable(observe: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    def observed(net: object, mono: np.ndarray, mouths: np.ndarray) -> np.ndarray:
        facts = observe(net, mono, mouths)
        dark = -mouths[:, :, 19:30, 15:29].astype(np.float32).mean((2, 3))
        facts[:, : mouths.shape[1] * 20] = np.repeat(dark, 20, axis=1)
        return np.asarray(facts)

    return observed
