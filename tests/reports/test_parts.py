"""What reports are drawn from: outlines of sounds, players, means with intervals, scales."""

from __future__ import annotations

import base64
import io
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from recordings import write_recording
from report_world import write_sound

from avse.evaluation.statistics import ScoreTable, mean_of
from avse.reports.audio_player import encode, make_player_tracks, time_ticks
from avse.reports.charts import Points, Series, distributions, histogram, scatter
from avse.reports.page import flat, number, signed, span
from avse.reports.spectrogram import NUM_COLOURS, Spectrogram, SpectrogramBuilder, spectrogram_png, waveform_path
from avse.reports.svg import Scale, clipped, tag


def draw(sound: np.ndarray, block: int = 16000, num_columns: int = 50, sample_rate: int = 16000) -> Spectrogram:
    drawing = SpectrogramBuilder(sample_rate, num_columns)
    for start in range(0, len(sound), block):
        drawing.add(sound[start : start + block])
    return drawing.finish()


def tone(hz: float, seconds: float, sample_rate: int = 16000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * sample_rate)) / sample_rate).astype(np.float32)


# Outlines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample_rate", [16000, 48000])
def test_a_tone_lies_in_its_row_at_its_level(sample_rate: int) -> None:
    outline = draw(tone(2031.25, 2.0, sample_rate), sample_rate=sample_rate)
    assert (outline.power[:, 2:-4].argmax(0) == 32).all()  # rows of 62.5 Hz
    assert outline.peak == pytest.approx(0.5, abs=0.01)
    assert outline.seconds == 2.0
    assert outline.top_db == pytest.approx(20 * math.log10(0.5) - 3.0, abs=1.5)


def test_blocks_make_no_difference() -> None:
    sound = np.random.default_rng(0).standard_normal(53_217).astype(np.float32) / 5
    whole, pieces = draw(sound, len(sound)), draw(sound, 777)
    assert whole.power.shape == pieces.power.shape
    np.testing.assert_allclose(whole.power, pieces.power, rtol=1e-4)
    np.testing.assert_array_equal(whole.high, pieces.high)


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 1.0, 7.3, 120.0])
def test_any_length_fits_and_nothing_is_lost(seconds: float) -> None:
    sound = tone(440, seconds)
    sound[len(sound) // 3] = 0.9
    outline = draw(sound)
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
    picture = Image.open(io.BytesIO(spectrogram_png(outline, outline.top_db)))
    assert picture.size == (outline.power.shape[1], 128)
    shades = np.asarray(picture)
    assert shades.max() == NUM_COLOURS - 1
    assert (shades.argmax(0)[2:-2] == 127 - 8).all()
    silent = np.asarray(Image.open(io.BytesIO(spectrogram_png(draw(np.zeros(16000, np.float32)), outline.top_db))))
    assert silent.max() == 0


def test_waveform_is_scaled_to_the_common_peak() -> None:
    outline = draw(tone(440, 1.0))
    heights = [float(point.split()[1]) for point in waveform_path(outline, 1.0).strip("MZ").split("L")]
    assert (min(heights), max(heights)) == (pytest.approx(-0.5, abs=0.02), pytest.approx(0.5, abs=0.02))
    assert len(heights) == 2 * len(outline.high)


# Tracks -------------------------------------------------------------------------------------------------------------


def decoded(address: str) -> tuple[np.ndarray, int]:
    kind, _, data = address.partition(";base64,")
    assert kind.startswith("data:audio/")
    return soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")


@pytest.mark.parametrize("kind", ["MP3", "FLAC"])
def test_sound_in_the_page_is_the_sound(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "FLAC":
        monkeypatch.setattr(soundfile, "available_formats", lambda: {"FLAC": "FLAC"})
    sound = tone(440, 1.0)
    restored, rate = decoded(encode(sound, 16000))
    assert (rate, len(restored)) == (16000, 16000)
    assert np.corrcoef(sound, restored)[0, 1] > 0.999


def test_tracks_of_wav_and_video_alike(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav", 1.5)
    samples = soundfile.read(sound, dtype="float32")[0]
    video = write_recording(tmp_path / "b.mkv", samples, np.full((38, 48, 64), 99, np.uint8))
    first, second = make_player_tracks(
        [("A", sound), ("B", video)], sample_rate=16000, played_seconds=1.0, num_columns=50
    )
    assert (first.seconds, first.played_seconds) == (1.5, 1.0)
    assert (second.seconds, second.played_seconds) == (1.5, 1.0)
    assert first.spectrogram == second.spectrogram
    assert len(decoded(first.sound)[0]) == 16000


def test_rate_and_channels_of_a_file_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(440, 1.0, 44100)] * 2, 1), 44100)
    (track,) = make_player_tracks([("A", path)], sample_rate=48000, played_seconds=1.0, num_columns=50)
    assert track.seconds == pytest.approx(1.0, abs=0.001)
    assert decoded(track.sound)[1] == 48000
    assert track.peak_db == pytest.approx(-6.0, abs=0.1)


def test_what_cannot_be_read_has_a_reason_and_spoils_nothing(tmp_path: Path) -> None:
    good, text, cut = write_sound(tmp_path / "good.wav"), tmp_path / "text.wav", tmp_path / "cut.flac"
    text.write_text("This is no sound. " * 50)
    soundfile.write(cut, np.random.default_rng(0).uniform(-1, 1, 160_000), 16000)
    cut.write_bytes(cut.read_bytes()[:100_000])
    empty = tmp_path / "empty.wav"
    soundfile.write(empty, np.zeros(0), 16000)
    paths = [tmp_path / "none.wav", text, cut, empty, tmp_path, good]
    tracks = make_player_tracks([("x", path) for path in paths], sample_rate=16000, played_seconds=1.0, num_columns=50)
    assert [bool(track.problem) for track in tracks] == [True, True, True, True, True, False]
    assert "holds no sound" in tracks[3].problem
    assert tracks[5].sound


def test_a_long_sound_is_not_kept(tmp_path: Path) -> None:
    short, long = (write_sound(tmp_path / f"{seconds}.wav", seconds) for seconds in (20.0, 200.0))
    peaks = []
    for path in (short, long):
        tracemalloc.start()
        make_player_tracks([("A", path)], sample_rate=16000, played_seconds=1.0, num_columns=50)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_silence_is_a_track_too(tmp_path: Path) -> None:
    path = tmp_path / "silent.wav"
    soundfile.write(path, np.zeros(16000), 16000)
    (track,) = make_player_tracks([("A", path)], sample_rate=16000, played_seconds=1.0, num_columns=50)
    assert track.problem == ""
    assert track.peak_db == -math.inf


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1.0, ["0.0", "0.2", "0.4", "0.6", "0.8"]),
        (10.0, ["0", "2", "4", "6", "8"]),
        (100.0, ["0", "20", "40", "1:00", "1:20"]),
        (9000.0, ["0", "30:00", "1:00 h", "1:30 h", "2:00 h"]),
        (0.0, []),
    ],
)
def test_time_ticks_are_round(seconds: float, words: list[str]) -> None:
    ticks = time_ticks(seconds)
    assert [word for _, word in ticks] == words
    assert all(0 <= place < 1 for place, _ in ticks)


# Numbers ------------------------------------------------------------------------------------------------------------


def test_interval_is_that_of_the_theory() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    mean = mean_of(values)
    half = 1.96 * values.std() / 20
    assert (mean.value, mean.num_items) == (pytest.approx(values.mean()), 400)
    assert mean.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert mean.high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert mean_of(values) == mean
    assert mean_of(values, seed=1) != mean


def test_interval_covers_the_truth_at_its_nominal_rate() -> None:
    rng = np.random.default_rng(2)
    means = [mean_of(rng.normal(0.0, 1.0, 50), seed) for seed in range(200)]
    assert 0.90 < np.mean([mean.low < 0 < mean.high for mean in means]) <= 0.99


def row(item: str, method: str, si_sdr: Any, subset: str | None = None) -> dict[str, Any]:
    return {"item": item, "subset": subset, "method": method, "scores": {"si_sdr": si_sdr}}


def test_gains_are_those_of_pairs_and_missing_scores_are_left_out() -> None:
    study = ScoreTable([
        row("a", "net", 5.0), row("a", "mixed", 1.0), row("b", "net", 3.0), row("b", "mixed", None),
        row("c", "net", math.nan), row("c", "mixed", 0.0), row("d", "net", 2.0), row("d", "mixed", 1.5),
    ])  # fmt: skip
    assert study.methods == ["mixed", "net"]
    assert study.main_method == "net"
    assert study.gains("si_sdr", "net").tolist() == [4.0, 0.5]
    assert study.values("si_sdr", "net").tolist() == [5.0, 3.0, 2.0]
    assert [own["item"] for own in study.ranked("si_sdr", "net")] == ["a", "d"]
    assert study.mean("pesq", "net").num_items == 0
    assert [metric.key for metric in study.metrics] == ["si_sdr"]


def test_items_of_the_same_name_in_two_conditions_are_two() -> None:
    study = ScoreTable([row("a", "mixed", 1.0, "x"), row("a", "net", 2.0, "x"), row("a", "mixed", 5.0, "y")])
    assert study.num_items == 2
    assert study.gains("si_sdr", "net", "x").tolist() == [1.0]
    assert study.gains("si_sdr", "net", "y").tolist() == []


def test_numbers_for_readers() -> None:
    minus, dash = "\N{MINUS SIGN}", "\N{EN DASH}"
    assert [number(value) for value in (1.005, -2, math.nan, None, -0.001)] == [
        "1.00",
        f"{minus}2.00",
        dash,
        dash,
        "0.00",
    ]
    assert [signed(value, 1) for value in (0.25, -3.0, math.inf)] == ["+0.2", f"{minus}3.0", dash]
    assert [span(value) for value in (3.44, 59.97, 125, 7199.7, None)] == [
        "3.4 s",
        "1 min 00 s",
        "2 min 05 s",
        "2 h 00 min",
        dash,
    ]
    assert flat({"a_b": {"c": 1, "d": [1, 2]}, "e": None}) == [("a b, c", "1"), ("a b, d", "1, 2"), ("e", "None")]


# Charts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[0.2, 0.9], [-13.0, 21.5], [3.0], [0.0, 1e-4], [1e4, 9e4], []])
def test_scale_holds_all_values_between_round_ticks(values: list[float]) -> None:
    scale = Scale.around(values, 100.0, 300.0)
    ticks = scale.ticks()
    assert 3 <= len(ticks) <= 12
    assert all(100.0 - 1e-6 <= scale(value) <= 300.0 + 1e-6 for value in [*values, *ticks])
    assert (scale(scale.low), scale(scale.high)) == (100.0, 300.0)


def test_svg_escapes_text_and_attributes() -> None:
    made = tag("text", "<b>", class_='"x', x=1.25)
    assert str(made) == '<text class="&#34;x" x="1.2">&lt;b&gt;</text>'
    assert clipped("abcdefghij", 5) == "ab\N{HORIZONTAL ELLIPSIS}ij"


def test_violin_from_five_values_on_and_dots_below() -> None:
    few, many = np.arange(3.0), np.arange(30.0)
    drawn = distributions([("", [Series("few", 0, few), Series("many", 1, many), Series("none", 2, few[:0])])], "dB", 1)
    assert drawn.count("<circle") == 3
    assert drawn.count('class="violin"') == drawn.count('class="median"') == 1
    assert "many: median 14.5, middle half 7.2 to 21.8" in drawn
    assert "no score" in drawn
    assert "nan" not in distributions([("", [Series("same", 0, np.ones(9))])], "dB", 1)


def test_scatter_draws_every_point_up_to_a_limit() -> None:
    rng = np.random.default_rng(0)
    points = Points(rng.normal(size=40), rng.normal(size=40), [f"<{index}>" for index in range(40)])
    drawn = scatter(points, "x, dB", "y, dB", 1)
    assert drawn.count("<circle") == 40
    assert "&lt;7&gt;" in drawn
    assert 'class="trend"' in drawn
    large = Points(rng.normal(size=4000), rng.normal(size=4000), [""] * 4000)
    assert scatter(large, "x", "y", 1).count("<circle") == 1500
    assert 'class="trend"' not in scatter(Points(np.ones(3), np.ones(3), "abc"), "x", "y", 1)


def test_histogram_counts_all() -> None:
    drawn = histogram(np.array([0.0, 1.0, 1.0, 10.0]), "dB", "items")
    assert drawn.count("<rect") == 3
    assert "2 items" in drawn
