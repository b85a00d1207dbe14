"""A stream gives what the same windows give offline, whatever the blocks, within the stated latency."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from panels import make_lips_readable

import avse
from avse.active_speaker.live_choice import choose_live
from avse.dsp import windowing
from avse.dsp.levels import compute_audio_stats
from avse.dsp.overlap_add import crossfade
from avse.dsp.rolling import RollingPlan, Window
from avse.enhancement import stream_enhancer, streaming
from avse.enhancement.enhancer import Enhancer, load_model
from avse.enhancement.masking import apply_mask, compute_mask, half_hop_ensemble
from avse.enhancement.rolling import RollingEnhancer, blank
from avse.enhancement.stream_enhancer import StreamEnhancer
from avse.enhancement.visual_reliability import VisualReliability, weight_by_reliability
from avse.errors import UsageError
from avse.faces.live_mouth import LiveMouth
from avse.io import reader
from avse.io.frames import shown_frames

RATE = 16000


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Enhancer:
    return load_model(str(tiny_model), "cpu")


@pytest.fixture(scope="module")
def transparent(see_through: Path) -> Enhancer:
    return load_model(str(see_through), "cpu")


def noise(num_samples: int, num_channels: int = 1) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((num_samples, num_channels))).astype(np.float32)


def crops_of(num_frames: int) -> np.ndarray:
    return np.random.default_rng(1).integers(1, 255, (num_frames, 88, 88)).astype(np.uint8)


def talking_head(clip: Path) -> tuple[np.ndarray, np.ndarray]:
    recording = reader.probe(clip)
    return reader.load_audio(recording), np.stack(list(reader.read_frames(recording)))


def push_all(stream: Any, audio: np.ndarray, video: np.ndarray, size: int) -> np.ndarray:
    """Push audio block by block, each with the frames that begin within it."""
    out, shown = [], 0
    for start in range(0, len(audio), size):
        until = min(start + size, len(audio))
        frames = -(-until * 25 // RATE)
        out.append(stream.push(audio[start:until], video[shown:frames]))
        shown = frames
    return np.concatenate([*out, stream.flush()])


@pytest.mark.parametrize("num_samples", [300, 14 * 640, 20 * 640 + 100])
@pytest.mark.parametrize("size", [441, 9000])
def test_stream_equals_the_same_windows_at_once(model: Enhancer, num_samples: int, size: int) -> None:
    """Level, mask and video of each window depend only on what came before its end."""
    plan, audio, num_frames = RollingPlan(10, 5, 2, 1), noise(num_samples, 2), -(-num_samples // 640)
    crops = crops_of(num_frames)
    expected = at_once(model, plan, audio, lambda place: crops[place.start : place.stop])
    streamed = push_all(RollingEnhancer(model.net, RATE, 2, plan, uses_video=True), audio, crops, size)
    np.testing.assert_allclose(streamed, expected, atol=1e-6)


@pytest.mark.parametrize("offset", [3, -3])
def test_av_offset_shifts_the_video(model: Enhancer, offset: int) -> None:
    """The result is that of the same windows with the video put right."""
    plan, audio, crops = RollingPlan(10, 5, 2, 1), noise(22 * 640, 2), crops_of(22)
    put_right = np.concatenate([blank(max(-offset, 0)), crops[max(offset, 0) :], blank(max(offset, 0))])
    expected = at_once(model, plan, audio, lambda place: put_right[place.start : place.stop])
    stream = RollingEnhancer(model.net, RATE, 2, plan, uses_video=True, av_offset_frames=offset)
    np.testing.assert_allclose(push_all(stream, audio, crops, 3000), expected, atol=1e-6)


@pytest.mark.parametrize("size", [441, 9000])
@pytest.mark.parametrize("offset", [2, -2])
def test_choice_holds_for_what_follows(model: Enhancer, size: int, offset: int) -> None:
    plan, audio, crops = RollingPlan(10, 5, 2, 1), noise(30 * 640, 2), crops_of(60).reshape(30, 2, 88, 88)
    asked = []

    def choose(mono: np.ndarray, mouths: np.ndarray) -> tuple[int, int]:
        asked.append((mono, mouths))
        return 1, offset

    def shown(place: Window) -> np.ndarray:
        face, late = (1, offset) if place.stop > 11 else (0, 0)
        indices = np.arange(place.start + late, place.stop + late)
        return crops[indices.clip(0, 29), face] * (indices < 30)[:, None, None]

    stream = RollingEnhancer(model.net, RATE, 2, plan, uses_video=True, choose=choose, choice_frames=11)
    found = push_all(stream, audio, crops, size)
    np.testing.assert_allclose(found, at_once(model, plan, audio, shown), atol=1e-6)
    ((mono, mouths),) = asked
    np.testing.assert_allclose(mono, audio.mean(1)[: 11 * 640], atol=1e-6)
    np.testing.assert_array_equal(mouths, crops[:11])


def at_once(model: Enhancer, plan: RollingPlan, audio: np.ndarray, shown: Callable[[Window], np.ndarray]) -> np.ndarray:
    """Enhance audio (N, 2) window by window, each with the mouths that are shown in it."""
    num_samples, num_frames = len(audio), -(-len(audio) // 640)
    padded = np.pad(audio, ((0, num_frames * 640 - num_samples), (0, 0)))
    mono, pieces, number = padded.mean(1), [], 0
    while (place := plan.place(number, num_frames)) is not None:
        window, rms = slice(place.start * 640, place.stop * 640), math.sqrt(np.square(mono[: place.stop * 640]).mean())
        grids, seen = half_hop_ensemble(mono[window], model.net.config.hop), shown(place)
        mask = compute_mask(model.net, grids, seen, rms)
        mask = weight_by_reliability(model.net, grids, seen, rms, mask, VisualReliability())
        enhanced = apply_mask(padded[window], mask, 640, model.net.config.hop)
        pieces.append(enhanced[(place.keep - place.start) * 640 : (place.keep_stop - place.start) * 640])
        number += 1
    return np.asarray(np.concatenate(list(crossfade(pieces, 2 * 640)))[:num_samples])


@pytest.mark.parametrize("rate", [16000, 44100])
def test_stream_with_the_windows_of_files_equals_the_offline_result(
    model: Enhancer, rate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, frames in (
        (windowing, "WINDOW_FRAMES", 20), (windowing, "OVERLAP_FRAMES", 5), (streaming, "OVERLAP_FRAMES", 5)
    ):  # fmt: skip
        monkeypatch.setattr(module, name, frames)
    audio = noise(2 * rate)
    stats, crops = compute_audio_stats([audio], rate), crops_of(50)
    reliability = VisualReliability()
    faces = [[streaming.FaceStream(iter(crops[:, None]))]]
    offline = [block for (block,) in streaming.enhance_blocks(model.net, [audio], rate, stats, faces, 1.0, reliability)]
    stream = RollingEnhancer(model.net, rate, 1, RollingPlan(20, 15, 5), uses_video=True, level=stats.rms)
    streamed = [stream.push(audio[:rate], crops[:30]), stream.push(audio[rate:], crops[30:]), stream.flush()]
    np.testing.assert_allclose(np.concatenate(streamed), np.concatenate(offline), atol=1e-6)
    assert len(reliability.weights) == 3


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 11111])
@pytest.mark.parametrize("size", [160, 3000])
def test_no_more_than_the_stated_latency_is_held_back(transparent: Enhancer, rate: int, size: int) -> None:
    stream, audio, out = StreamEnhancer(rate, model=transparent, window_seconds=1), noise(2 * rate)[:, 0], []
    for start in range(0, len(audio), size):
        out.append(stream.push(audio[start : start + size]))
        held = min(start + size, len(audio)) - sum(map(len, out))
        assert held <= stream.latency_samples
    out.append(stream.flush())
    assert sum(map(len, out)) == len(audio)
    if rate in (16000, 48000):
        np.testing.assert_allclose(np.concatenate(out), audio, atol=1e-3)


def test_latency_is_stated_in_samples(transparent: Enhancer) -> None:
    assert StreamEnhancer(16000, model=transparent).latency_samples == (10 + 2 + 5) * 640
    late = [StreamEnhancer(16000, 25, model=transparent, av_offset=seconds) for seconds in (0.12, -0.12, "auto")]
    assert [stream.latency_samples // 640 for stream in late] == [17 + 3, 17, 17 + 8 + 4]
    short = StreamEnhancer(48000, model=transparent, window_seconds=1, step_seconds=0.2, lookahead_seconds=0)
    assert (5 + 2) * 1920 < short.latency_samples < (5 + 2 + 2) * 1920  # the network's own rate is another one


@pytest.mark.parametrize("fps", [25, 30, 12.5])
def test_frames_reach_the_network_in_time(clip: Path, model: Enhancer, fps: float) -> None:
    """Frames of any rate, pushed in other portions than the audio, give what their mouth crops give."""
    audio, frames = talking_head(clip)
    order = np.minimum(np.arange(math.ceil(32 * fps / 25)) * 25 / fps, 31).astype(int)
    stream = StreamEnhancer(RATE, fps, model=model, step_seconds=0.2)
    given = frames[order]
    blocks = [stream.push(audio, given[:7])]
    blocks += [stream.push(audio[:0], given[k : k + 4]) for k in range(7, len(given), 4)]
    mouth = LiveMouth(phase=stream.plan.latency - 1)
    shown = given[shown_frames(len(given), fps)]
    crops = np.concatenate([*map(mouth.push, shown), mouth.flush()])
    assert crops.any(axis=(1, 2)).all()
    expected_of = RollingEnhancer(model.net, RATE, 1, stream.plan, uses_video=True)
    expected = np.concatenate([expected_of.push(audio, crops), expected_of.flush()])
    np.testing.assert_allclose(np.concatenate([*blocks, stream.flush()]), expected, atol=1e-7)


def test_blocks_come_back_in_their_own_form(transparent: Enhancer) -> None:
    given = torch.from_numpy(noise(32000, 2).T.copy()).double()
    stream = avse.StreamEnhancer(RATE, model=transparent)
    out = [stream.push(given), stream.flush()]
    assert [block.dtype for block in out] == [torch.float64] * 2
    torch.testing.assert_close(torch.cat(out, 1), given, atol=1e-3, rtol=0)


@pytest.mark.parametrize("rate", [RATE, 44100, 48000])
@pytest.mark.parametrize("num_channels", [None, 2])
def test_flush_can_be_called_again(transparent: Enhancer, rate: int, num_channels: int | None) -> None:
    stream = StreamEnhancer(rate, model=transparent)
    given = noise(rate, num_channels or 1)
    given = given if num_channels else given[:, 0]
    parts = [stream.push(given), stream.flush(), stream.flush(), stream.flush()]
    assert np.concatenate(parts).shape == given.shape
    assert parts[2].shape == parts[3].shape == (0, *given.shape[1:])


def test_stream_of_nothing_is_empty(transparent: Enhancer) -> None:
    assert StreamEnhancer(RATE, model=transparent).flush().shape == (0,)
    stream = StreamEnhancer(RATE, 25, model=transparent)
    assert stream.push(noise(0)[:, 0]).shape == (0,)
    assert stream.flush().shape == (0,)


@pytest.mark.parametrize(("rate", "num_samples"), [(8000, 1), (44100, 1), (48000, 2), (192000, 5)])
def test_stream_shorter_than_a_sample_at_16_khz(transparent: Enhancer, rate: int, num_samples: int) -> None:
    stream = StreamEnhancer(rate, 25, model=transparent)
    parts = [stream.push(noise(num_samples)[:, 0]), stream.flush()]
    assert np.concatenate(parts).shape == (num_samples,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample_rate": "16 kHz"}, "sample rate"),
        ({"fps": 0}, "frame rate"),
        ({"speaker": "2"}, "2"),
        ({"av_offset": "late"}, "av_offset"),
        ({"av_offset": 3}, "av_offset"),
        ({"window_seconds": 0.3}, "too short"),
        ({"step_seconds": 0.3}, "step"),
        ({"lookahead_seconds": -1}, "lookahead"),
        ({"window_seconds": "long"}, "window_seconds"),
        ({"strength": 2}, "strength"),
        ({"level": "loud"}, "level"),
    ],
)
def test_wrong_option_is_an_error_at_once(transparent: Enhancer, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        StreamEnhancer(**({"sample_rate": RATE, "model": transparent} | options))
    assert caught.value.hint


def test_wrong_block_is_an_error(transparent: Enhancer) -> None:
    stream = StreamEnhancer(RATE, 25, model=transparent)
    stream.push(noise(100), np.zeros((1, 8, 8), np.uint8))
    with pytest.raises(UsageError, match="2 channels"):
        stream.push(noise(100, 2))
    with pytest.raises(UsageError, match="shape"):
        stream.push(noise(100), np.zeros((1, 9, 8), np.uint8))
    with pytest.raises(UsageError, match="one colour image"):
        stream.push(noise(100), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UsageError, match="batch"):
        stream.push(noise(100).reshape(1, 100, 1))
    with pytest.raises(UsageError, match="need a frame rate"):
        StreamEnhancer(RATE, model=transparent).push(noise(100), np.zeros((1, 8, 8), np.uint8))
    stream.flush()
    with pytest.raises(UsageError, match="ended"):
        stream.push(noise(100))


@pytest.mark.parametrize("options", [{"speaker": "active"}, {"av_offset": "auto"}, {"av_offset": -0.08}])
def test_stream_that_chooses_loses_nothing(
    clip: Path, transparent: Enhancer, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    for name in ("CHOICE_FRAMES", "OFFSET_FRAMES"):
        monkeypatch.setattr(stream_enhancer, name, 15)
    audio, frames = talking_head(clip)
    stream = StreamEnhancer(RATE, 25, model=transparent, step_seconds=0.2, window_seconds=1, **options)
    held, out = [], []
    for k in range(32):
        out.append(stream.push(audio[640 * k : 640 * (k + 1)], frames[k : k + 1]))
        held.append(640 * (k + 1) - sum(map(len, out)))
    np.testing.assert_allclose(np.concatenate([*out, stream.flush()]), audio, atol=1e-3)
    assert max(held) <= stream.latency_samples


def test_active_speaker_and_av_offset_come_from_the_beginning(model: Enhancer, monkeypatch: pytest.MonkeyPatch) -> None:
    make_lips_readable(monkeypatch)
    rng = np.random.default_rng(0)
    loudness = np.repeat(rng.uniform(0, 1, (2, 100)), 2, axis=1)
    audio = np.repeat(loudness[1], 640) * rng.standard_normal(200 * 640) * 0.1
    crops = rng.integers(90, 110, (200, 2, 88, 88)).astype(np.uint8)
    mouths = np.stack([loudness[0], np.roll(loudness[1], 3)], axis=1)
    crops[:, :, 38:60, 30:58] = (200 - 150 * mouths).astype(np.uint8)[..., None, None]
    assert choose_live(model.net, audio.astype(np.float32), crops) == (1, 3)
    assert choose_live(model.net, audio.astype(np.float32), crops, 0)[1] == 0
