"""AV offset of a single face: estimated and compensated, with the video decoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from recordings import ffmpeg, si_sdr
from scipy.ndimage import uniform_filter1d

import avse
from avse.active_speaker import av_sync, correlation
from avse.data.synthetic.clips import make_clip
from avse.enhancement.enhancer import Enhancer, load_model
from avse.io import reader

INSIDE = slice(16000, -16000)


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A talking head of 10 s."""
    path = tmp_path_factory.mktemp("talker") / "talker.mp4"
    make_clip(path, seconds=10.0)
    return path


@pytest.fixture(scope="module")
def net(tiny_model: Path) -> Enhancer:
    return load_model(str(tiny_model), "cpu")


@pytest.fixture
def readable_lips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lips whose opening follows the energies, in place of a trained lip stream."""

    def read_lips(net: torch.nn.Module, crops: torch.Tensor) -> torch.Tensor:
        dark = -crops[:, :, 19:30, 15:29].float().mean((2, 3))
        return dark.T[..., None].expand(-1, -1, 20).clone()

    monkeypatch.setattr(av_sync, "predict_bands", read_lips)


def moved(source: Path, path: Path, late_frames: int) -> Path:
    """Return a copy whose video is later than its audio by so many frames; negative: earlier."""
    offsets = max(late_frames, 0) / 25, max(-late_frames, 0) / 25
    inputs = ("-itsoffset", f"{offsets[0]:.2f}", "-i", source, "-itsoffset", f"{offsets[1]:.2f}", "-i", source)
    ffmpeg(*inputs, "-map", "0:v", "-map", "1:a", "-c", "copy", path)
    return path


@pytest.mark.parametrize("late_frames", [4, -3])
@pytest.mark.usefixtures("readable_lips")
def test_av_offset_is_detected_and_reported(talker: Path, net: Enhancer, tmp_path: Path, late_frames: int) -> None:
    path = moved(talker, tmp_path / "moved.mkv", late_frames)
    in_time, result = avse.enhance(talker, model=net), avse.enhance(path, model=net)
    assert (in_time.av_offset_seconds, result.av_offset_seconds) == (0.0, late_frames / 25)
    assert f"The video is {abs(late_frames) / 25:.2f} s {'late' if late_frames > 0 else 'early'}" in result.note
    assert "The video is" not in in_time.note


def test_untrained_lips_make_no_lag_up(talker: Path, net: Enhancer, tmp_path: Path) -> None:
    result = avse.enhance(moved(talker, tmp_path / "moved.mkv", 4), model=net)
    assert result.av_offset_seconds == 0


@pytest.mark.usefixtures("readable_lips")
def test_video_is_decoded_no_more_often_for_it(
    talker: Path, net: Enhancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    decode = reader._decoded_frames
    monkeypatch.setattr(reader, "_decoded_frames", lambda *args: calls.append(args) or decode(*args))
    avse.enhance(moved(talker, tmp_path / "moved.mkv", 4), model=net)
    assert len(calls) == 1


@pytest.mark.usefixtures("readable_lips")
def test_face_that_comes_too_late_is_not_waited_for(
    talker: Path, net: Enhancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = moved(talker, tmp_path / "moved.mkv", 4)
    monkeypatch.setattr(av_sync, "SEARCH_FRAMES", 20)
    result = avse.enhance(path, model=net)
    assert result.av_offset_seconds == 0
    assert result.waveform is not None
    assert len(result.waveform) > 9.9 * 16000


def test_held_back_mouths_are_few_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av_sync, "MAX_VISIBLE_FRAMES", 5)
    black, grey = (np.full((1, 1, 44, 44), value, np.float32) for value in (0, 90))
    mouths = iter([black.copy() for _ in range(50)] + [grey.copy() for _ in range(20)])
    head = list(av_sync._first_minute(mouths, lambda index: None))
    assert (len(head), len(list(mouths))) == (55, 15)
    assert len({id(mouth) for mouth in head}) == 6


def test_model_on_arrays_puts_it_right_too(
    talker: Path, net: Enhancer, readable_lips: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = reader.probe(talker)
    waveform = reader.load_audio(recording)[:, 0]
    frames = np.stack(list(reader.read_frames(recording)))
    late = np.concatenate([frames[:1].repeat(4, 0), frames])
    expected, found = (net.enhance(waveform, 16000, crops, 25)[INSIDE] for crops in (frames, late))
    monkeypatch.setattr(av_sync, "MAX_OFFSET_FRAMES", 0)
    left_late = net.enhance(waveform, 16000, late, 25)[INSIDE]
    assert si_sdr(expected, found) > si_sdr(expected, left_late) + 6


@pytest.mark.usefixtures("readable_lips")
def test_lips_that_do_not_match_the_audio_are_reported(
    talker: Path, net: Enhancer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Return a mouth that opens with the audio, and one that closes with it."""
    monkeypatch.setattr(
        av_sync, "MAX_OFFSET_FRAMES", 0
    )  # made-up syllables come so evenly that half of one later all fits
    too_short = avse.enhance(talker, model=net)
    monkeypatch.setattr(av_sync, "MIN_CORRELATION_FRAMES", 200)
    own = avse.enhance(talker, model=net)
    predict = av_sync.predict_bands
    monkeypatch.setattr(av_sync, "predict_bands", lambda net, crops: -predict(net, crops))
    against = avse.enhance(talker, model=net)
    assert too_short.av_correlation is None
    assert own.av_correlation > 0.3
    assert against.av_correlation < 0
    doubt = "The lips hardly match the audio. Compare the result with --no-video."
    assert [doubt in result.note for result in (too_short, own, against)] == [False, False, True]


def test_agreement_of_the_frames_that_are_seen() -> None:
    energies = np.random.default_rng(0).standard_normal((400, 20)).astype(np.float32)
    predicted, seen = energies * 3 + 5, np.arange(400) < 300
    predicted[300:] = 99
    assert correlation.av_correlation(predicted, energies, seen) == pytest.approx(1, abs=1e-5)
    assert correlation.av_correlation(-predicted, energies, seen) == pytest.approx(-1, abs=1e-5)
    assert correlation.av_correlation(predicted, energies, ~seen) == 0
    assert abs(correlation.av_correlation(predicted, energies[::-1], seen)) < 0.1


def test_slow_drifts_and_still_faces_hide_no_lag() -> None:
    """Each sentence has a loudness of its own, which no mouth shows; somebody else just sits there."""
    rng = np.random.default_rng(0)
    syllables, noise, stats, drift = rng.standard_normal((4, 375, 20)).astype(np.float32)
    energies = uniform_filter1d(syllables, 3, axis=0) + 20 * uniform_filter1d(stats, 75, axis=0)
    predicted = (
        np.stack([syllables + noise, np.zeros_like(noise)], 1) + 20 * uniform_filter1d(drift, 75, axis=0)[:, None]
    )
    seen = np.ones((2, 375), bool)
    for late in (-6, 0, 5):
        assert av_sync.estimate_av_offset(correlation.shift_frames(predicted, late), energies, seen) == late
    assert av_sync.estimate_av_offset(predicted[::-1], energies, seen) == 0


def test_what_is_quick_is_left_where_it_is_seen() -> None:
    values = np.sin(np.arange(200) * 2 * np.pi / 6)[:, None] + np.linspace(0, 9, 200)[:, None]
    seen = np.arange(200) % 50 < 40
    values[~seen] = 99
    found = correlation.remove_local_mean(values, seen)
    assert found.dtype == np.float32
    assert np.all(found[~seen] == 0)
    inside = uniform_filter1d(seen.astype(float), correlation.LOCAL_MEAN_FRAMES, mode="constant") > 0.99
    assert np.abs(found[inside, 0] - np.sin(np.arange(200) * 2 * np.pi / 6)[inside]).max() < 0.1
