"""Mixtures from nothing but a seed: the same again, at the levels that were drawn, of the right people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_world import write_cache, write_clip

from avse.data import online_mixing
from avse.data.augmentation.timing import change_speed, random_segment
from avse.data.dataset import Batches, loader
from avse.data.mix_config import MixConfig
from avse.data.online_mixing import Example, Mixer, coloured_noise
from avse.data.prepared_clips import Clip, find_clips, load_clip
from avse.dsp.levels import scale_to
from avse.errors import UsageError

Make = Callable[..., Mixer]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_cache(folder / "faces", speakers=3, clips=2, num_frames=20)
    write_clip(folder / "voices", "reader", "page", with_lips=False)
    write_clip(folder / "noises", "street", "noise", with_lips=False)
    return folder


@pytest.fixture
def make(world: Path) -> Make:
    def mixer(voices: bool = False, noises: bool = False, **settings: Any) -> Mixer:
        pools = [
            find_clips(world / name) if wanted else {} for name, wanted in (("voices", voices), ("noises", noises))
        ]
        return Mixer(find_clips(world / "faces"), pools[0], pools[1], MixConfig(**({"num_frames": 10} | settings)))

    return mixer


def rms_db(waveform: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(waveform, dtype=np.float64))))


def examples(mixer: Mixer, count: int = 60) -> list[Example]:
    return [mixer.example(5, index) for index in range(count)]


def test_the_same_seed_and_number_give_the_same_bytes(make: Make) -> None:
    first, again = (make(voices=True, noises=True) for _ in range(2))
    for index in (0, 7, 1_000_000):
        for one, other in zip(
            vars(first.example(3, index)).values(), vars(again.example(3, index)).values(), strict=True
        ):
            assert one.dtype == other.dtype
            assert one.tobytes() == other.tobytes()
    assert first.example(3, 0).mixture.tobytes() != first.example(4, 0).mixture.tobytes()
    assert first.example(3, 0).mixture.tobytes() != first.example(3, 1).mixture.tobytes()


def test_shapes_and_types(make: Make) -> None:
    for example in examples(make(voices=True, noises=True), 20):
        assert example.mixture.shape == example.target.shape == (6400,)
        assert example.mixture.dtype == example.target.dtype == np.float32
        assert (example.lips.shape, example.lips.dtype) == ((10, 88, 88), np.uint8)
        assert (example.seen.shape, example.seen.dtype) == ((10,), bool)
        assert np.isfinite(example.mixture).all()


@pytest.mark.parametrize("level_db", [-18.0, 0.0, 5.0])
def test_one_talker_at_the_level_that_was_drawn(make: Make, level_db: float) -> None:
    settings = {"num_talkers": (0.0, 1.0), "talker_db": (level_db, level_db), "noise_probability": 0.0}
    for example in examples(make(**settings), 10):
        assert rms_db(example.mixture - example.target) - rms_db(example.target) == pytest.approx(level_db, abs=0.05)


def test_noise_at_the_level_that_was_drawn(make: Make) -> None:
    for example in examples(make(noises=True, num_talkers=(1.0,), noise_db=(-7.0, -7.0)), 10):
        assert rms_db(example.mixture - example.target) - rms_db(example.target) == pytest.approx(-7, abs=0.05)


def test_the_gain_of_the_whole_mixture(make: Make) -> None:
    for example in examples(make(gain_db=(-9.0, -9.0)), 10):
        assert rms_db(example.target) == pytest.approx(-20 - 9, abs=0.05)
    levels = [rms_db(example.target) + 20 for example in examples(make())]
    assert -12 <= min(levels) < -9
    assert 3 < max(levels) <= 6


def test_levels_fill_their_range(make: Make) -> None:
    mixer = make(num_talkers=(0.0, 1.0), noise_probability=0.0)
    levels = [rms_db(e.mixture - e.target) - rms_db(e.target) for e in examples(mixer)]
    assert -18.1 < min(levels) < -14
    assert 1 < max(levels) < 5.1


@pytest.mark.parametrize("voices", [False, True])
def test_nobody_interferes_with_themselves(make: Make, monkeypatch: pytest.MonkeyPatch, voices: bool) -> None:
    drawn: list[tuple[str, bool]] = []

    def activity(
        clips: list[Path], num_frames: int, rng: np.random.Generator, with_lips: bool = True, varied: float = 0.0
    ) -> Clip:
        drawn.append((clips[0].parent.name, with_lips))
        return random_segment(clips, num_frames, rng, with_lips)

    monkeypatch.setattr(online_mixing, "random_segment", activity)
    heard = set()
    for index in range(100):
        drawn.clear()
        make(voices=voices, num_talkers=(0.0, 0.0, 0.5, 0.5)).example(0, index)
        (target, shown), *others = drawn
        assert shown
        assert len(others) in (2, 3)
        assert target not in {name for name, _ in others}
        heard |= {name for name, _ in others}
    assert heard == {"speaker0", "speaker1", "speaker2"} | ({"reader"} if voices else set())


@pytest.mark.parametrize("speakers", [2, 3, 5])
def test_nobody_interferes_with_the_second_talker_as_target(tmp_path: Path, speakers: int) -> None:
    write_cache(tmp_path, speakers=speakers, clips=1, num_frames=20)
    settings = {"num_frames": 10, "num_talkers": (0.0, 0.3, 0.7), "swap_target": True}
    mixer = Mixer(find_clips(tmp_path), {}, {}, MixConfig(**settings, same_collection_probability=0.5))
    swapped = 0
    for index in range(0, 80, 2):
        talking = mixer._draw_talkers(np.random.default_rng((5, index)))
        first, second, *others = talking.speakers
        assert first not in (second, *others)
        assert (len(set(talking.speakers)) == len(talking.speakers)) or speakers == 2
        assert talking.can_swap == (second not in others)
        swapped += talking.can_swap
    assert (0 < swapped < 40) if speakers == 2 else swapped == 40


def test_babble_and_unrelated_lips_are_of_others_than_the_second_talker(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixer = make(
        num_talkers=(0.0, 1.0), noise_probability=1.0, babble_probability=1.0, unrelated_video_probability=1.0,
        swap_target=True,
    )  # fmt: skip
    original, avoided = mixer._other_speaker, []
    monkeypatch.setattr(
        mixer, "_other_speaker", lambda but, *rest, **named: avoided.append(list(but)) or original(but, *rest, **named)
    )
    for index in range(1, 20, 2):
        avoided.clear()
        first, second = mixer._draw_talkers(np.random.default_rng((5, index - 1))).speakers
        avoided.clear()
        mixer.example(5, index)
        assert avoided[0] == [first]
        assert len(avoided) >= 6
        assert all(names == [second] for names in avoided[1:])


def test_the_same_person_among_the_voices_is_left_out_too(world: Path) -> None:
    faces = {"speaker0": find_clips(world / "faces")["speaker0"]}
    voices = {"speaker0": faces["speaker0"], **find_clips(world / "voices")}
    mixer = Mixer(faces, voices, {}, MixConfig(num_frames=10, num_talkers=(0.0, 1.0), noise_probability=0.0))
    reader = load_clip(voices["reader"][0]).audio
    for example in examples(mixer, 20):
        rest = (example.mixture - example.target).astype(np.float64)
        match = np.correlate(reader.astype(np.float64), rest, "valid") / np.linalg.norm(rest)
        norms = np.sqrt(np.convolve(np.square(reader, dtype=np.float64), np.ones(len(rest)), "valid"))
        assert (match / norms).max() > 0.999


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_how_often_another_talker_is_audio_only(
    make: Make, monkeypatch: pytest.MonkeyPatch, probability: float
) -> None:
    mixer, drawn = make(voices=True, num_talkers=(0.0, 1.0), audio_only_interferer_probability=probability), []
    original = mixer._draw_interferer
    monkeypatch.setattr(mixer, "_draw_interferer", lambda but, rng: drawn.append(original(but, rng)) or drawn[-1])
    examples(mixer, 200)
    reader = load_clip(mixer.voices["reader"][0]).audio.tobytes()
    strange = np.mean([voice.audio[:640].tobytes() in reader for _, voice in drawn])
    assert strange == pytest.approx(probability, abs=0.0 if probability in (0, 1) else 0.08)


def test_swapped_target_has_the_same_mixture_and_other_lips(make: Make) -> None:
    settings = {
        "num_talkers": (0.0, 1.0),
        "noise_probability": 0.0,
        "missing_video_probability": 0.0,
        "reverb_probability": 0.5,
    }
    mixer = make(**settings, swap_target=True, eq_db=6.0, band_limit_probability=0.5)
    for index in range(0, 20, 2):
        one, other = mixer.example(5, index), mixer.example(5, index + 1)
        np.testing.assert_array_equal(one.mixture, other.mixture)
        np.testing.assert_allclose(one.target + other.target, one.mixture, atol=1e-5)
        assert not np.array_equal(one.lips, other.lips)
        assert other.lips.any()
        assert other.seen.all()


@pytest.mark.parametrize(
    ("settings", "strays"), [({"num_talkers": (1.0,)}, True), ({"num_talkers": (0.0, 1.0)}, False)]
)
def test_mismatched_lips_where_audio_identifies_the_target(make: Make, settings: dict[str, Any], strays: bool) -> None:
    plain, stray = (
        examples(make(missing_video_probability=0.0, mismatched_video_probability=chance, **settings), 20)
        for chance in (0.0, 1.0)
    )
    num_strays = 0
    for own, other in zip(plain, stray, strict=True):
        np.testing.assert_array_equal(own.mixture, other.mixture)
        np.testing.assert_array_equal(own.target, other.target)
        assert other.seen.any()
        num_strays += not np.array_equal(own.lips, other.lips)
    assert num_strays > 15 if strays else num_strays == 0


def test_quiet_interferers_have_the_right_level_and_are_never_the_target(make: Make) -> None:
    settings = {"num_talkers": (0.0, 1.0), "noise_probability": 0.0, "talker_db": (0.0, 5.0), "swap_target": True}
    levels = [
        rms_db(example.mixture - example.target) - rms_db(example.target)
        for example in examples(
            make(quiet_interferers_probability=0.5, quiet_interferers_db=(-20.0, -13.0), **settings), 200
        )
    ]
    faint = np.array([level for level in levels if level < -10])
    assert ((faint > -20.1) & (faint < -12.9)).all()
    assert len(faint) / 200 == pytest.approx((0.5 + 0.5 * 0.5) / 2, abs=0.1)  # after a quiet one, a new one is drawn
    assert np.abs([level for level in levels if level > -10]).max() < 5.1
    with pytest.raises(UsageError, match="quiet_interferers_db"):
        make(quiet_interferers_db=(-13.0, -20.0))


@pytest.mark.parametrize(
    "settings", [{"num_talkers": (1.0,)}, {"num_talkers": (0.0, 1.0), "audio_only_interferer_probability": 1.0}]
)
def test_where_nobody_else_is_seen_there_is_no_turnabout(make: Make, settings: dict[str, Any]) -> None:
    plain, turning = (make(voices=True, **settings, swap_target=value) for value in (False, True))
    for index in range(6):
        np.testing.assert_array_equal(turning.example(5, index).mixture, plain.example(5, index).mixture)
        np.testing.assert_array_equal(turning.example(5, index).lips, plain.example(5, index).lips)


def test_each_voice_has_its_own_microphone_the_target_included(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []
    monkeypatch.setattr(
        online_mixing, "random_eq", lambda waveform, range_db, rng: heard.append((range_db, rng.random())) or -waveform
    )
    settings = {"num_talkers": (0.0, 1.0), "noise_probability": 0.0, "gain_db": (0.0, 0.0)}
    plain, coloured = (make(**settings, eq_db=range_db).example(5, 0) for range_db in (0.0, 6.0))
    assert [range_db for range_db, _ in heard] == [6.0, 6.0]
    assert heard[0][1] != heard[1][1]
    np.testing.assert_allclose(coloured.target, -plain.target, atol=1e-6)


def test_without_a_talker_there_is_always_noise(make: Make) -> None:
    for example in examples(make(num_talkers=(1.0,), noise_probability=0.0, noise_db=(-3.0, -3.0)), 20):
        assert rms_db(example.mixture - example.target) - rms_db(example.target) == pytest.approx(-3, abs=0.05)


def test_numbers_of_talkers_and_noises_come_as_often_as_asked(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = make(num_talkers=(0.5, 0.25, 0.25), noise_probability=0.4)
    counts = {"talkers": 0, "noises": 0}

    def counted(kind: str, original: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
        def call(*arguments: Any) -> np.ndarray:
            counts[kind] += 1
            return original(*arguments)

        return call

    monkeypatch.setattr(mixer, "_draw_interferer", counted("talkers", mixer._draw_interferer))
    monkeypatch.setattr(mixer, "_draw_noise", counted("noises", mixer._draw_noise))
    examples(mixer, 400)
    assert counts["talkers"] / 400 == pytest.approx(0.75, abs=0.12)
    assert counts["noises"] / 400 == pytest.approx(0.5 + 0.5 * 0.4, abs=0.07)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_how_often_the_video_is_missing(make: Make, probability: float) -> None:
    made = examples(make(missing_video_probability=probability), 200)
    missing = np.array([not example.lips.any() for example in made])
    assert missing.mean() == pytest.approx(probability, abs=0.0 if probability in (0, 1) else 0.08)
    assert all(example.seen.any() != gone for example, gone in zip(made, missing, strict=True))


def test_speakers_come_as_often_as_they_have_clips_up_to_a_limit(world: Path) -> None:
    (few,) = [paths[:1] for name, paths in find_clips(world / "faces").items() if name == "speaker0"]
    many = find_clips(world / "faces")["speaker1"] * 10
    for limit, share in ((120, 1 / 21), (1, 0.5)):
        mixer = Mixer(
            {"few": few, "many": many}, {}, {}, MixConfig(num_frames=4, num_talkers=(1.0,), max_clips_per_speaker=limit)
        )
        np.testing.assert_allclose(mixer._weights, [share, 1 - share])


def test_a_speaker_without_video_can_be_an_audio_only_target(tmp_path: Path) -> None:
    write_clip(tmp_path, "heard", "clip", with_lips=False)
    example = Mixer(find_clips(tmp_path), {}, {}, MixConfig(num_frames=10, num_talkers=(1.0,))).example(0, 0)
    assert not example.lips.any()
    assert not example.seen.any()


def test_who_there_must_be(world: Path) -> None:
    with pytest.raises(UsageError, match="no talkers"):
        Mixer({}, find_clips(world / "voices"), {}, MixConfig())
    alone = {"speaker0": find_clips(world / "faces")["speaker0"]}
    with pytest.raises(UsageError, match="no interfering talker for speaker0"):
        Mixer(alone, {}, {}, MixConfig())
    config = MixConfig(num_frames=10, num_talkers=(1.0,), noise_probability=1.0, babble_probability=1.0)
    assert np.isfinite(Mixer(alone, {}, {}, config).example(0, 0).mixture).all()


def gaps(example: Example) -> list[tuple[int, int]]:
    """First frame and length of every stretch that is not seen."""
    edges = np.diff(np.concatenate([[1], example.seen.astype(int), [1]]))
    first, last = np.flatnonzero(edges == -1), np.flatnonzero(edges == 1)
    return list(zip(first.tolist(), (last - first).tolist(), strict=True))


def test_a_video_lost_for_a_stretch(make: Make) -> None:
    made = examples(make(missing_video_probability=0.0, gap_probability=1.0, gap_frames=(3, 5)), 200)
    found = [gaps(example) for example in made]
    assert all(len(stretches) == 1 for stretches in found)
    inside = [length for ((first, length),) in found if first > 0 and first + length < 10]
    assert set(inside) == {3, 4, 5}
    assert {first for ((first, _),) in found} == set(range(10))
    for example in made:
        np.testing.assert_array_equal(example.lips.any((1, 2)), example.seen)


@pytest.mark.parametrize("probability", [0.0, 0.4])
def test_how_often_a_video_is_lost_for_a_stretch(make: Make, probability: float) -> None:
    made = examples(make(missing_video_probability=0.0, gap_probability=probability), 200)
    assert np.mean([bool(gaps(example)) for example in made]) == pytest.approx(probability, abs=0.08)


def test_how_often_the_target_is_a_voice_without_video(make: Make) -> None:
    made = examples(
        make(voices=True, audio_only_target_probability=0.3, missing_video_probability=0.0, gain_db=(0, 0)), 200
    )
    assert np.mean([not example.seen.any() for example in made]) == pytest.approx(0.3, abs=0.08)
    assert all(example.target.any() for example in made)
    assert all(
        e.seen.all() for e in examples(make(audio_only_target_probability=1.0, missing_video_probability=0.0), 10)
    )


def test_a_talker_who_pauses_is_silent_with_a_mouth_at_rest(make: Make) -> None:
    settings = {"missing_video_probability": 0.0, "num_frames": 20, "silent_face_frames": (8, 8)}
    for example in examples(make(silent_face_probability=1.0, **settings), 30):
        loud = np.square(example.target.reshape(20, -1)).mean(1) > 1e-12
        pause = ~loud
        assert 2 <= pause.sum() <= 8
        assert example.seen.all()
        openings = (example.lips > 120).mean((1, 2))
        assert np.ptp(openings[pause]) < 0.1
    plain = examples(make(silent_face_probability=0.0, **settings), 30)
    assert all((np.square(e.target.reshape(20, -1)).mean(1) > 0).all() for e in plain)


@pytest.mark.parametrize("swap_target", [False, True])
def test_people_take_turns(make: Make, swap_target: bool) -> None:
    settings = {"num_talkers": (0.0, 1.0), "num_frames": 40, "missing_video_probability": 0.0, "noise_probability": 0.0}
    first = []
    for example in examples(make(turn_taking_probability=1.0, swap_target=swap_target, **settings), 30):
        target, other = (
            np.square(waveform.reshape(40, -1)).mean(1) > 1e-9
            for waveform in (example.target, example.mixture - example.target)
        )
        assert (target | other).all()
        assert 0 <= (target & other).sum() <= 14
        assert min(target.sum(), other.sum()) >= 4
        openings = (example.lips > 120).mean((1, 2))
        assert np.ptp(openings[~target]) < 0.1
        first.append(target[0])
    assert 5 < sum(first) < 25
    at_once = examples(make(**settings), 5)
    assert all((np.square(e.target.reshape(40, -1)).mean(1) > 1e-9).all() for e in at_once)


def test_how_often_a_silent_face_listens(make: Make) -> None:
    settings = {"num_talkers": (0.0, 1.0), "num_frames": 40, "missing_video_probability": 0.0, "noise_probability": 0.0}
    moving = []
    for example in examples(make(turn_taking_probability=1.0, listener_motion_probability=0.5, **settings), 60):
        silent = np.square(example.target.reshape(40, -1)).mean(1) <= 1e-9
        moving.append(np.ptp((example.lips > 120).mean((1, 2))[silent]) >= 0.1)
    assert 0.15 < np.mean(moving) < 0.7


def test_babble_is_four_to_six_other_voices(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    mixer = make(voices=True, num_talkers=(1.0,), babble_probability=1.0, noise_db=(-5.0, -5.0))
    heard: list[str] = []
    original = mixer._draw_interferer

    def counted(but: str, rng: np.random.Generator) -> Clip:
        heard.append(but)
        return original(but, rng)

    monkeypatch.setattr(mixer, "_draw_interferer", counted)
    counts = []
    for index in range(40):
        heard.clear()
        example = mixer.example(0, index)
        counts.append(len(heard))
        assert rms_db(example.mixture - example.target) - rms_db(example.target) == pytest.approx(-5, abs=0.05)
    assert set(counts) == {4, 5, 6}
    monkeypatch.setattr(mixer, "config", MixConfig(num_frames=10, num_talkers=(1.0,)))
    heard.clear()
    examples(mixer, 10)
    assert heard == []


@pytest.mark.parametrize(("name", "probability"), [("reverberate", 0.3), ("limit_bandwidth", 0.4)])
def test_how_often_there_is_a_room_or_a_narrow_band(
    make: Make, monkeypatch: pytest.MonkeyPatch, name: str, probability: float
) -> None:
    calls = []
    monkeypatch.setattr(online_mixing, name, lambda waveform, rest: calls.append(rest) or waveform)
    field = "reverb_probability" if name == "reverberate" else "band_limit_probability"
    examples(make(num_talkers=(0.0, 1.0), **{field: probability}), 200)
    assert len(calls) / 400 == pytest.approx(probability, abs=0.08)
    if name == "limit_bandwidth":
        assert calls[::2] == calls[1::2]
        assert 3400 <= min(calls) < 3800
        assert 6600 < max(calls) <= 7000


def test_mixture_and_target_share_room_and_band(make: Make) -> None:
    """What is added is the interference alone, at its level, whatever was done to the voices."""
    settings = {
        "num_talkers": (0.0, 1.0),
        "talker_db": (-4.0, -4.0),
        "noise_probability": 0.0,
        "reverb_probability": 1.0,
    }
    for example in examples(make(**settings), 10):
        assert rms_db(example.mixture - example.target) - rms_db(example.target) == pytest.approx(-4, abs=0.05)
    for example in examples(make(**(settings | {"band_limit_probability": 1.0})), 10):
        spectrum = np.abs(np.fft.rfft(example.mixture)) ** 2
        assert spectrum[-200:].sum() < 1e-4 * spectrum.sum()


@pytest.mark.parametrize("name", ["gap_frames", "silent_face_frames", "noise_db", "speed"])
def test_a_range_the_wrong_way_round(name: str) -> None:
    with pytest.raises(UsageError, match=name):
        MixConfig(**{name: (5, 3)})


@pytest.mark.parametrize("speed", [(0.4, 1.0), (1.0, 2.1)])
def test_a_speed_that_is_no_voice_any_more(speed: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="Use speeds between"):
        MixConfig(speed=speed)


def test_everybody_is_played_at_a_speed_of_their_own(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    monkeypatch.setattr(
        online_mixing, "change_speed", lambda clip, count: lengths.append(len(clip.seen)) or change_speed(clip, count)
    )
    for example in examples(make(num_talkers=(0.0, 1.0), noise_probability=0.0, speed=(0.7, 1.5)), 60):
        assert example.lips.shape == (10, 88, 88)
        assert example.mixture.shape == (6400,)
    assert (min(lengths), max(lengths)) == (7, 15)
    assert np.mean(np.array(lengths[::2]) != lengths[1::2]) > 0.7


def test_scale() -> None:
    waveform = np.random.default_rng(0).standard_normal(1000) * 0.03
    assert rms_db(scale_to(waveform, -12.0)) == pytest.approx(-12, abs=1e-3)
    assert not scale_to(np.zeros(1000), 6.0).any()


def test_colours_of_noise() -> None:
    slopes = []
    for seed in range(40):
        power = np.abs(np.fft.rfft(coloured_noise(16000, np.random.default_rng(seed)))) ** 2
        low, high = power[200:400].mean(), power[3200:6400].mean()
        slopes.append(10 * np.log10(low / high) / 4)
    assert -0.5 < min(slopes) < 1
    assert 8 < max(slopes) < 9.5


def test_batches_are_numbered_examples_whatever_the_workers(make: Make) -> None:
    mixer = make()
    batch = Batches(mixer, 9, batch_size=3, first=2, last=4)[1]
    for row, index in enumerate((9, 10, 11)):
        example = mixer.example(9, index)
        for tensor, array in zip(
            (batch.mixture, batch.target, batch.crops, batch.seen), vars(example).values(), strict=True
        ):
            np.testing.assert_array_equal(tensor[row].numpy(), array)
    loaded = list(loader(Batches(mixer, 9, 3, 2, 4), num_workers=0))
    assert len(loaded) == 2
    assert torch.equal(loaded[1].mixture, batch.mixture)
    assert list(loader(Batches(mixer, 9, 3, 4, 4), num_workers=0)) == []


def collected(folder: Path) -> dict[str, list[Path]]:
    for speaker in ("aa1", "aa2", "bb1", "bb2", "cc1"):
        write_clip(folder, speaker, "clip", num_frames=20)
    return find_clips(folder)


def test_talkers_of_the_same_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def spy(clips: list[Path], *given: Any, **named: Any) -> Clip:
        drawn.append(clips[0].parent.name)
        return random_segment(clips, *given, **named)

    monkeypatch.setattr(online_mixing, "random_segment", spy)
    settings = {
        "num_frames": 10,
        "num_talkers": (0.0, 1.0),
        "noise_probability": 0.0,
        "same_collection_probability": 1.0,
    }
    mixer = Mixer(collected(tmp_path), {}, {}, MixConfig(**settings))
    for index in range(40):
        drawn.clear()
        mixer.example(0, index)
        target, other = drawn
        assert target != other
        assert target[:2] == other[:2] or target == "cc1"  # whoever is alone in a collection is mixed with anyone


@pytest.mark.parametrize("nothing", ["missing", "frozen", "unrelated"])
@pytest.mark.parametrize(("level_db", "is_kept"), [(-3.0, True), (0.0, True), (-9.0, False)])
def test_where_the_video_does_not_identify_the_target_both_are_kept(
    tmp_path: Path, nothing: str, level_db: float, is_kept: bool
) -> None:
    settings = {"num_frames": 10, "num_talkers": (0.0, 1.0), "noise_probability": 0.0, "ambiguous_target_db": 4.0}
    settings |= {f"{nothing}_video_probability": 1.0, "talker_db": (level_db, level_db)}
    if nothing != "missing":
        settings["missing_video_probability"] = 0.0
    mixer = Mixer(collected(tmp_path), {}, {}, MixConfig(**settings))
    for example in examples(mixer, 10):
        assert np.allclose(example.mixture, example.target) == is_kept
        if nothing == "frozen":
            assert (example.lips == example.lips[:1]).all()


def test_with_video_the_target_alone_is_kept(tmp_path: Path) -> None:
    settings = {"num_frames": 10, "num_talkers": (0.0, 1.0), "noise_probability": 0.0, "ambiguous_target_db": 4.0}
    mixer = Mixer(
        collected(tmp_path), {}, {}, MixConfig(**settings, missing_video_probability=0.0, talker_db=(0.0, 0.0))
    )
    assert not any(np.allclose(example.mixture, example.target) for example in examples(mixer, 10))


def test_measured_rooms_are_applied(tmp_path: Path) -> None:
    response = np.zeros(400, np.float32)
    response[[0, 300]] = 0.8, 0.6
    settings = {"num_frames": 10, "num_talkers": (1.0,), "noise_db": (-60.0, -60.0), "missing_video_probability": 0.0}
    told = [
        Mixer(
            collected(tmp_path),
            {},
            {},
            MixConfig(**settings, reverb_probability=1.0, measured_room_probability=share),
            rooms,
        )
        for share, rooms in ((1.0, {"hall": [response]}), (1.0, {}), (0.0, {"hall": [response]}))
    ]
    heard, made_up, unmeasured = (mixer.example(1, 0).target for mixer in told)
    assert np.array_equal(made_up, unmeasured) or not np.array_equal(heard, made_up)
    spectrum = np.fft.irfft(np.abs(np.fft.rfft(heard)) ** 2)
    assert spectrum[300] / spectrum[0] == pytest.approx(0.48, abs=0.15)


def test_web_video_and_offsets_leave_the_audio_unchanged(tmp_path: Path) -> None:
    settings = {"num_frames": 10, "num_talkers": (1.0,), "missing_video_probability": 0.0}
    plain = Mixer(collected(tmp_path), {}, {}, MixConfig(**settings)).example(2, 0)
    for change in ({"degraded_video_probability": 1.0}, {"av_offset_probability": 1.0}):
        changed = Mixer(collected(tmp_path), {}, {}, MixConfig(**settings, **change)).example(2, 0)
        assert np.array_equal(plain.mixture, changed.mixture)
        assert not np.array_equal(plain.lips, changed.lips)
    assert not changed.seen.all()


def test_varied_noise_is_another_noise_of_the_level_that_was_asked(make: Make) -> None:
    settings: dict[str, Any] = {"noises": True, "num_talkers": (1.0,), "noise_db": (-7.0, -7.0)}
    plain = examples(make(**settings), 20)
    varied = examples(make(**settings, varied_noise_probability=1.0), 20)
    noises = [example.mixture - example.target for example in varied]
    levels = [rms_db(noise) - rms_db(example.target) for noise, example in zip(noises, varied, strict=True)]
    assert levels == pytest.approx([-7.0] * 20, abs=0.05)
    same = sum(np.array_equal(a.mixture, b.mixture) for a, b in zip(plain, varied, strict=True))
    assert 0 < same < 10  # coloured noise stays as it is
