"""Spectrograms and waveforms of reports, from streams of any length."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from avse.reports.spectrogram import NUM_COLOURS, Spectrogram, SpectrogramBuilder, spectrogram_png, waveform_path


def draw(waveform: np.ndarray, block: int = 16000, num_columns: int = 50, sample_rate: int = 16000) -> Spectrogram:
    drawing = SpectrogramBuilder(sample_rate, num_columns)
    for start in range(0, len(waveform), block):
        drawing.add(waveform[start : start + block])
    return drawing.finish()


def tone(hz: float, seconds: float, sample_rate: int = 16000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate).astype(np.float32)


@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_a_tone_lies_in_its_row_at_its_level(sample_rate: int) -> None:
    outline = draw(tone(2031.25, 2.0, sample_rate), sample_rate=sample_rate)
    assert (outline.power[:, 2:-4].argmax(0) == 32).all()  # rows of 62.5 Hz
    assert outline.peak == pytest.approx(0.5, abs=0.01)
    assert outline.seconds == 2.0
    assert outline.top_db == pytest.approx(20 * math.log10(0.5) - 3.0, abs=1.5)


def test_blocks_make_no_difference() -> None:
    waveform = np.random.default_rng(0).standard_normal(53_217).astype(np.float32) / 5
    whole, pieces = draw(waveform, len(waveform)), draw(waveform, 777)
    assert whole.power.shape == pieces.power.shape
    np.testing.assert_allclose(whole.power, pieces.power, rtol=1e-4)
    np.testing.assert_array_equal(whole.high, pieces.high)


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 1.0, 7.3, 120.0])
def test_any_length_fits_and_nothing_is_lost(seconds: float) -> None:
    waveform = tone(440, seconds)
    waveform[len(waveform) // 3] = 0.9
    outline = draw(waveform)
    num_columns = outline.power.shape[1]
    assert 1 <= num_columns < 100
    assert num_columns == len(outline.low) == len(outline.high)
    assert outline.high.max() == np.float32(0.9)
    assert outline.high.argmax() / num_columns == pytest.approx(1 / 3, abs=0.06 if seconds > 0.1 else 1)


def test_an_hour_is_kept_as_small_as_a_minute() -> None:
    drawing = SpectrogramBuilder(16000, 50)
    minute = tone(440, 60.0)
    sizes = []
    for _ in range(10):
        drawing.add(minute)
        kept = (value for value in vars(drawing).values() if isinstance(value, np.ndarray))
        sizes.append(sum(value.nbytes for value in kept))
    assert max(sizes[1:]) < 4 * 130 * (100 + 60_000 // 25)
    assert drawing.finish().seconds == 600.0


def test_spectrogram_is_a_small_image_with_low_frequencies_below() -> None:
    outline = draw(tone(500, 1.0))
    image = Image.open(io.BytesIO(spectrogram_png(outline, outline.top_db)))
    assert image.size == (outline.power.shape[1], 128)
    shades = np.asarray(image)
    assert shades.max() == NUM_COLOURS - 1
    assert (shades.argmax(0)[2:-2] == 127 - 8).all()
    silent = np.asarray(Image.open(io.BytesIO(spectrogram_png(draw(np.zeros(16000, np.float32)), outline.top_db))))
    assert silent.max() == 0


def test_waveform_is_scaled_to_the_common_peak() -> None:
    outline = draw(tone(440, 1.0))
    heights = [float(point.split()[1]) for point in waveform_path(outline, 1.0).strip("MZ").split("L")]
    assert (min(heights), max(heights)) == (pytest.approx(-0.5, abs=0.02), pytest.approx(0.5, abs=0.02))
    assert len(heights) == 2 * len(outline.high)
