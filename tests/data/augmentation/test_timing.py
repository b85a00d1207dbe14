"""Talkers before they are mixed: cut and joined, at another speed, pausing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_world import write_cache, write_clip

from avse.data.augmentation.timing import (
    change_speed,
    delay_video,
    draw_offset,
    random_segment,
    take_turns,
    with_pause,
)
from avse.data.prepared_clips import Clip, find_clips, load_clip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_cache(folder / "faces", speakers=1, clips=2, num_frames=20)
    return folder


@pytest.mark.parametrize("num_frames", [1, 19, 20, 21, 50])
def test_clips_of_one_speaker_are_joined_to_the_length_asked_for(world: Path, num_frames: int) -> None:
    clips = find_clips(world / "faces")["speaker0"]
    made = random_segment(clips, num_frames, np.random.default_rng(1))
    assert (len(made.audio), len(made.lips), len(made.seen)) == (640 * num_frames, num_frames, num_frames)
    whole = [load_clip(path) for path in clips]
    assert any(clip.audio.tobytes().find(made.audio[:640].tobytes()) >= 0 for clip in whole)


def test_audio_and_lips_are_cut_at_the_same_place(world: Path) -> None:
    clip = load_clip(find_clips(world / "faces")["speaker0"][0])
    for seed in range(10):
        made = random_segment(find_clips(world / "faces")["speaker0"][:1], 7, np.random.default_rng(seed))
        (first,) = [i for i in range(14) if np.array_equal(clip.lips[i : i + 7], made.lips)]
        np.testing.assert_array_equal(made.audio, clip.audio[first * 640 : (first + 7) * 640])


def test_another_voice_is_taken_as_often_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "speaker" / "clip.npz"
    path.parent.mkdir()
    np.savez(path, sound=np.full(6400, 100, np.int16), varied=np.full(6400, 200, np.int16))

    def loudness(probability: float) -> list[int]:
        draws = (np.random.default_rng(seed) for seed in range(50))
        made = (random_segment([path], 10, rng, varied_probability=probability) for rng in draws)
        return [round(float(clip.audio[0]) * 32768) for clip in made]

    assert set(loudness(0.0)) == {100}
    assert set(loudness(1.0)) == {200}
    assert 10 < loudness(0.5).count(200) < 40


def test_a_clip_without_video_among_others_is_black_there(tmp_path: Path) -> None:
    clips = [
        write_clip(tmp_path, "mixed", "shown", num_frames=6),
        write_clip(tmp_path, "mixed", "heard", num_frames=6, with_lips=False),
    ]
    made = [random_segment(clips, 24, np.random.default_rng(seed)) for seed in range(8)]
    mixed = [clip for clip in made if 0 < clip.seen.mean() < 1]
    assert len(mixed) > 3
    for clip in mixed:
        assert clip.lips.shape == (24, 88, 88)
        np.testing.assert_array_equal(clip.lips.any((1, 2)), clip.seen)


@pytest.mark.parametrize(("length", "num_frames"), [(60, 50), (40, 50), (50, 50), (1, 4)])
def test_audio_and_video_stay_in_sync_at_another_speed(length: int, num_frames: int) -> None:
    """The pitch of a tone changes as it should, and so does a video that grows brighter."""
    times = np.arange(640 * length) / 16000
    waveform = np.sin(2 * np.pi * 400 * times).astype(np.float32)
    lips = np.broadcast_to(np.linspace(10, 200, length)[:, None, None], (length, 88, 88)).astype(np.uint8)
    made = change_speed(Clip(waveform, lips, np.ones(length, bool)), num_frames)
    assert (made.audio.shape, made.audio.dtype) == ((640 * num_frames,), np.float32)
    assert (made.lips.shape, made.lips.dtype) == ((num_frames, 88, 88), np.uint8)
    assert made.seen.all()
    peak_hz = np.argmax(np.abs(np.fft.rfft(made.audio))) * 16000 / len(made.audio)
    assert peak_hz == pytest.approx(400 * length / num_frames, rel=0.03)
    middles = (np.arange(num_frames) + 0.5) / num_frames
    expected = np.interp(middles, (np.arange(length) + 0.5) / length, np.linspace(10, 200, length))
    np.testing.assert_allclose(made.lips[:, 0, 0], expected, atol=1.5)


def test_a_video_lost_stays_lost_at_another_speed() -> None:
    seen = np.ones(20, bool)
    seen[8:12] = False
    made = change_speed(Clip(np.zeros(20 * 640, np.float32), None, seen), 10)
    assert made.lips is None
    np.testing.assert_array_equal(np.flatnonzero(~made.seen), [4, 5])


def test_the_pause_takes_the_mouth_of_the_quietest_frame(world: Path) -> None:
    clip = load_clip(find_clips(world / "faces")["speaker0"][0])
    made = with_pause(clip, 5, 12, np.random.default_rng(0))
    changed = (made.lips != clip.lips).any((1, 2))
    quietest = int(np.argmin(np.square(clip.audio.reshape(20, -1)).mean(1)))
    assert set(range(5, 12)) - {quietest} <= set(np.flatnonzero(changed)) <= set(range(5, 12))
    for index in np.flatnonzero(changed):
        shifts = [
            np.roll(clip.lips[quietest], (down, right), (0, 1)) for down in range(-3, 4) for right in range(-3, 4)
        ]
        assert min(np.abs(made.lips[index].astype(int) - shifted).max() for shifted in shifts) <= 2
    silent = np.square(made.audio.reshape(20, -1)).mean(1)
    middle = np.flatnonzero(changed)[1:-1]
    assert silent[middle].max() == 0
    untouched = ~np.convolve(changed, [1, 1, 1], "same").astype(bool)
    kept = made.audio.reshape(20, -1)[untouched]
    np.testing.assert_allclose(kept, clip.audio.reshape(20, -1)[untouched], rtol=1e-4)
    np.testing.assert_array_equal(made.seen, clip.seen)


def test_the_mouth_of_a_listener_moves_slowly_through_its_own_frames(world: Path) -> None:
    clip = load_clip(find_clips(world / "faces")["speaker0"][0])
    clip = Clip(clip.audio, np.repeat(np.arange(1, 21, dtype=np.uint8) * 12, 88 * 88).reshape(20, 88, 88), clip.seen)
    speeds = []
    for seed in range(20):
        made = with_pause(clip, 5, 17, np.random.default_rng(seed), listening=1.0)
        grey = made.lips[:, 0, 0].astype(float)
        np.testing.assert_array_equal(np.delete(made.lips, range(5, 17), 0), np.delete(clip.lips, range(5, 17), 0))
        steps = np.diff(grey[5:17])
        assert steps.min() >= 0
        assert steps.max() <= 0.5 * 12
        speeds.append((grey[16] - grey[5]) / (11 * 12))
        assert np.abs(made.audio.reshape(20, -1)[6:16]).max() == 0
    assert 0.05 < min(speeds) < max(speeds) < 0.45


def test_a_listener_who_is_not_seen_throughout_rests(world: Path) -> None:
    clip = load_clip(find_clips(world / "faces")["speaker0"][0])
    seen = np.arange(20) % 2 == 0
    clip = Clip(clip.audio, clip.lips * seen[:, None, None], seen)
    still, listening = (with_pause(clip, 5, 17, np.random.default_rng(0), share) for share in (0.0, 1.0))
    assert listening.seen.tolist() == seen.tolist()
    assert not listening.lips[~seen].any()
    assert np.abs(listening.lips[seen].astype(int) - still.lips[seen]).mean() < 12


def test_turns_of_voices_that_nobody_sees(world: Path) -> None:
    voice = Clip(np.ones(640 * 20, np.float32), None, np.zeros(20, bool))
    for seed in range(20):
        clips = take_turns([voice, voice], np.random.default_rng(seed))
        assert [clip.lips for clip in clips] == [None, None]
        heard = [np.abs(clip.audio.reshape(20, -1)).mean(1) for clip in clips]
        assert (np.maximum(*heard) > 0.4).all()
        assert sorted([heard[0][0] > 0.5, heard[1][0] > 0.5]) != [False, False]


@pytest.mark.parametrize(("first", "last"), [(-5, 0), (-5, -2), (20, 30)])
def test_a_pause_that_lies_outside(world: Path, first: int, last: int) -> None:
    clip = load_clip(find_clips(world / "faces")["speaker0"][0])
    made = with_pause(clip, first, last, np.random.default_rng(0))
    np.testing.assert_array_equal(made.lips, clip.lips)
    np.testing.assert_allclose(made.audio, clip.audio, rtol=1e-5)


def test_small_offsets_are_drawn_most_and_none_is_zero() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([draw_offset((-5, 2), rng) for _ in range(2000)])
    counts = {frames: int((drawn == frames).sum()) for frames in range(-5, 3)}
    assert counts.pop(0) == 0
    assert min(counts.values()) > 0
    assert counts[-1] > counts[-2] > counts[-4]


@pytest.mark.parametrize("num_frames", [-3, 0, 2])
def test_a_delayed_video_shows_nothing_where_there_was_none(num_frames: int) -> None:
    lips = np.repeat(np.arange(1, 11, dtype=np.uint8), 4).reshape(10, 2, 2)
    moved, seen = delay_video(lips, np.ones(10, bool), num_frames)
    assert seen.sum() == 10 - abs(num_frames)
    for index in np.flatnonzero(seen):
        assert np.array_equal(moved[index], lips[index - num_frames])
