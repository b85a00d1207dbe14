"""Spectrogram and waveform outline of audio of any length, at a bounded size.

Legend: `N` samples, `R` rows (bands of 62.5 Hz), `K` columns.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

NUM_ROWS = 128
TOP_HZ = 8000
STEP_SECONDS = 0.01
RANGE_DB = 75.0
NUM_COLOURS = 48
COLOURS = ("#0b0f1d", "#1b2450", "#46307f", "#86347f", "#c8466b", "#f07f56", "#fbc26f", "#fdf3c8")


@dataclass(frozen=True)
class Spectrogram:
    """Hold the mean power (R, K) up to 8 kHz, lowest and highest sample (K,) of each column, and the seconds."""

    power: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seconds: float

    @property
    def peak(self) -> float:
        """Return the largest absolute sample."""
        return float(max(self.high.max(initial=0.0), -self.low.min(initial=0.0)))

    @property
    def top_db(self) -> float:
        """Return the level of the loudest point of the spectrogram."""
        return float(10 * np.log10(self.power.max(initial=0.0) + 1e-12))


class SpectrogramBuilder:
    """Take audio in blocks and keep fewer than twice ``num_columns`` columns, whatever the length.

    A column starts as a step of 10 ms. If there are too many, neighbours are merged.
    """

    def __init__(self, sample_rate: int, num_columns: int) -> None:
        self.sample_rate = sample_rate
        self.num_columns = num_columns
        self.num_samples = 0
        self._step = round(STEP_SECONDS * sample_rate)
        self._window = np.hanning(2 * (NUM_ROWS * sample_rate // TOP_HZ))
        self._sound: np.ndarray = np.zeros(0, np.float32)
        self._steps: np.ndarray = np.zeros((0, NUM_ROWS + 2), np.float32)
        self._columns: np.ndarray = np.zeros((0, NUM_ROWS + 2), np.float32)
        self._steps_per_column = 1

    def add(self, block: np.ndarray) -> None:
        """Add the next samples (N,)."""
        self.num_samples += len(block)
        self._sound = np.concatenate([self._sound, block])
        num_steps = (len(self._sound) - len(self._window)) // self._step + 1
        if num_steps > 0:
            self._steps = np.concatenate([self._steps, self._measure(num_steps)])
            self._sound = self._sound[num_steps * self._step :]
            self._collect()

    def finish(self) -> Spectrogram:
        """Return the spectrogram of all samples; the last window is padded with silence."""
        seconds = self.num_samples / self.sample_rate
        missing = -(-len(self._sound) // self._step)
        if missing:
            self._sound = np.pad(self._sound, (0, len(self._window) + missing * self._step - len(self._sound)))
            self._steps = np.concatenate([self._steps, self._measure(missing)])
            self._collect()
        if len(self._steps):
            self._columns = np.concatenate([self._columns, _joined(self._steps, len(self._steps))])
        power, low, high = np.split(self._columns.T, [NUM_ROWS, NUM_ROWS + 1])
        return Spectrogram(power, low[0], high[0], seconds)

    def _measure(self, num_steps: int) -> np.ndarray:
        """Compute power in each band, lowest and highest sample of the next steps: (steps, R + 2)."""
        views = np.lib.stride_tricks.sliding_window_view(self._sound, len(self._window))[:: self._step][:num_steps]
        spectrum = np.fft.rfft(views * self._window)[:, : 2 * NUM_ROWS]
        power = np.square(np.abs(spectrum) / self._window.sum() * 2).reshape(num_steps, NUM_ROWS, 2).mean(2)
        steps = self._sound[: num_steps * self._step].reshape(num_steps, self._step)
        return np.column_stack([power, steps.min(1), steps.max(1)]).astype(np.float32)

    def _collect(self) -> None:
        """Convert the steps to columns, and merge columns while there are too many."""
        while True:
            whole = len(self._steps) // self._steps_per_column * self._steps_per_column
            self._columns = np.concatenate([self._columns, _joined(self._steps[:whole], self._steps_per_column)])
            self._steps = self._steps[whole:]
            if len(self._columns) < 2 * self.num_columns:
                return
            even = len(self._columns) // 2 * 2
            odd_one = np.repeat(self._columns[even:], self._steps_per_column, axis=0)
            self._steps = np.concatenate([odd_one, self._steps])
            self._columns = _joined(self._columns[:even], 2)
            self._steps_per_column *= 2


def _joined(steps: np.ndarray, count: int) -> np.ndarray:
    """Merge every ``count`` steps into one: the mean power, the lowest and the highest sample."""
    groups = steps.reshape(-1, max(count, 1), steps.shape[1])
    return np.column_stack([groups[..., :-2].mean(1), groups[..., -2].min(1), groups[..., -1].max(1)])


def spectrogram_png(outline: Spectrogram, top_db: float) -> bytes:
    """Render the power as PNG, low frequencies at the bottom; the brightest colour stands for ``top_db``."""
    from PIL import Image

    level_db = 10 * np.log10(outline.power[::-1] + 1e-12) - top_db
    shade = np.clip(1 + level_db / RANGE_DB, 0, 1) * (NUM_COLOURS - 1)
    image = Image.fromarray(np.round(shade).astype(np.uint8))
    image.putpalette(_palette())
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def waveform_path(outline: Spectrogram, peak: float) -> str:
    """Return an SVG path around the waveform, one unit wide for each column, from -1 (top: +peak) to 1."""
    scale = 1 / max(peak, 1e-6)
    place = np.arange(len(outline.high)) + 0.5
    upper = zip(place, -outline.high * scale - 0.004, strict=True)
    lower = zip(place[::-1], -outline.low[::-1] * scale + 0.004, strict=True)
    points = [f"{x:g} {y:.3f}" for x, y in (*upper, *lower)]
    return f"M{'L'.join(points)}Z" if points else ""


def _palette() -> list[int]:
    anchors = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in COLOURS])
    place = np.linspace(0, 1, NUM_COLOURS)
    channels = [np.interp(place, np.linspace(0, 1, len(anchors)), channel) for channel in anchors.T]
    return np.round(np.stack(channels, 1)).astype(int).ravel().tolist()
