"""Made-up recordings: the same again for the same seed, lips that go with the sound, a face that is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.data.synthetic import clips
from avse.data.synthetic.face import talking_head
from avse.data.synthetic.speech import speak
from avse.errors import UsageError
from avse.faces.detection import Detector
from avse.io import reader


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return clips.make_samples(tmp_path_factory.mktemp("made") / "samples")


def frame_levels(waveform: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(waveform.reshape(-1, 640) ** 2, axis=1))


def lag(decoded: np.ndarray, reference: np.ndarray) -> int:
    """Samples by which ``decoded`` comes later."""
    size = 2 * len(reference)
    correlation = np.fft.irfft(np.fft.rfft(decoded, size) * np.fft.rfft(reference, size).conj(), size)
    return int((np.argmax(correlation) + len(reference)) % size - len(reference))


def autocorrelation_pitch(part: np.ndarray) -> tuple[float, float]:
    """Pitch in Hz between 70 and 320 Hz, and how periodic the sound is (1 is a pure tone)."""
    products = np.correlate(part, part, "full")[len(part) - 1 :] / np.arange(len(part), 0, -1)
    best = 50 + int(np.argmax(products[50:229]))
    return 16000 / best, float(products[best] / products[0])


def test_speech_has_the_length_asked_for_and_is_the_same_for_the_same_seed() -> None:
    first, again, other = speak(1.3, seed=3), speak(1.3, seed=3), speak(1.3, seed=4)
    assert first.waveform.shape == (20800,)
    assert first.opening.shape == (32,)
    assert first.waveform.dtype == first.opening.dtype == np.float32
    np.testing.assert_array_equal(first.waveform, again.waveform)
    np.testing.assert_array_equal(first.opening, again.opening)
    assert np.abs(first.waveform - other.waveform).max() > 0.05


def test_mouth_opens_with_the_level_of_the_speech() -> None:
    for seed in range(3):
        speech = speak(6.0, seed=seed)
        assert np.corrcoef(frame_levels(speech.waveform), speech.opening)[0, 1] > 0.7
        assert speech.opening.min() < 0.05
        assert speech.opening.max() > 0.7


def test_speech_has_syllables_at_four_a_second_and_pauses() -> None:
    level = np.concatenate([frame_levels(speak(6.0, seed=seed).waveform) for seed in range(3)])
    power = np.abs(np.fft.rfft(level - level.mean())) ** 2
    rate_hz = np.fft.rfftfreq(len(level), 1 / 25)
    syllabic = (rate_hz > 1) & (rate_hz < 10)
    assert 2.5 < np.average(rate_hz[syllabic], weights=power[syllabic]) < 5.5
    assert 0.08 < np.mean(level < 0.02 * level.max()) < 0.4


@pytest.mark.parametrize("pitch_hz", [110.0, 210.0])
def test_speaker_has_the_pitch_asked_for(pitch_hz: float) -> None:
    waveform = speak(4.0, seed=1, pitch_hz=pitch_hz).waveform
    found = [autocorrelation_pitch(part) for part in waveform.reshape(-1, 640) if np.std(part) > 0.02]
    found_hz, strength = np.array(found).T
    assert np.mean(strength > 0.5) > 0.5
    assert np.median(found_hz[strength > 0.5]) == pytest.approx(pitch_hz, rel=0.12)


def test_speech_has_voiced_and_hissed_parts() -> None:
    parts = np.concatenate([speak(6.0, seed=seed).waveform for seed in range(3)]).reshape(-1, 640)
    power = np.abs(np.fft.rfft(parts[parts.std(axis=1) > 0.005])) ** 2
    share_above_2500_hz = power[:, 100:].sum(axis=1) / power.sum(axis=1)
    assert np.mean(share_above_2500_hz < 0.1) > 0.5
    assert 0.03 < np.mean(share_above_2500_hz > 0.5) < 0.3


def test_longer_tract_lowers_the_formants() -> None:
    def centroid_hz(tract_scale: float) -> float:
        power = np.abs(np.fft.rfft(speak(4.0, seed=2, tract_scale=tract_scale).waveform)) ** 2
        return float(np.average(np.linspace(0, 8000, len(power)), weights=power))

    assert centroid_hz(0.9) < centroid_hz(1.2)


@pytest.mark.parametrize("arguments", [{"seconds": 0.1}, {"seconds": 1, "sample_rate": 4000}])
def test_impossible_speech_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="Cannot speak"):
        speak(**arguments)  # type: ignore[arg-type]


def test_frames_are_the_same_for_the_same_seed_and_move_with_another() -> None:
    opening = np.linspace(0, 1, 4, dtype=np.float32)
    first, again, other = (np.stack(list(talking_head(opening, (96, 128), seed))) for seed in (0, 0, 1))
    assert first.shape == (4, 96, 128, 3)
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 1


def test_open_mouth_is_dark_inside_and_leaves_the_eyes_alone() -> None:
    closed, wide = (next(talking_head(np.array([degree], np.float32))).astype(int) for degree in (0, 1))
    marks = Detector(num_threads=1)(wide.mean(axis=2).astype(np.uint8))[0].landmarks
    column, row = marks[3:].mean(axis=0).round().astype(int)
    below_teeth = slice(row + 5, row + 12), slice(column - 4, column + 5)
    assert wide[below_teeth].mean() < 0.6 * closed[below_teeth].mean()
    eyes_and_hair = slice(0, int(marks[2, 1]) - 10)
    np.testing.assert_array_equal(wide[eyes_and_hair], closed[eyes_and_hair])


def test_head_does_not_jump_between_frames() -> None:
    frames = np.stack(list(talking_head(np.full(25, 0.5, np.float32), (120, 160)))).astype(int)
    assert np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).max() < 4


@pytest.mark.parametrize("size", [(240, 320), (144, 144), (480, 640)])
def test_face_is_found_upright_at_every_size(size: tuple[int, int]) -> None:
    detect = Detector(num_threads=1)
    for frame in talking_head(np.linspace(0, 1, 5, dtype=np.float32), size):
        (face,) = detect(frame.mean(axis=2).astype(np.uint8))
        assert face.score > 0.8
        left_eye, right_eye, _, left_mouth, right_mouth = face.landmarks
        assert left_eye[0] < right_eye[0]
        assert left_mouth[1] > left_eye[1]
        assert right_mouth[1] > right_eye[1]


@pytest.mark.parametrize("opening", [[1.2], [-0.1], [[0.5]], [float("nan")]])
def test_impossible_opening_is_refused(opening: list[float]) -> None:
    with pytest.raises(UsageError, match="opening"):
        next(talking_head(np.array(opening, np.float32)))


def test_portrait_is_refused() -> None:
    with pytest.raises(UsageError, match="120x240"):
        next(talking_head(np.zeros(1, np.float32), (240, 120)))


def test_mixture_has_the_level_asked_for_and_does_not_clip() -> None:
    target, background = speak(2.0, seed=0).waveform, clips.street_noise(2.0, seed=1)
    clean, mixture = clips.mix(10 * target, background, -5.0)
    added = mixture - clean
    assert 10 * np.log10(np.mean(added**2) / np.mean(clean**2)) == pytest.approx(-5.0, abs=0.01)
    assert np.abs(mixture).max() == pytest.approx(0.9)
    with pytest.raises(UsageError, match="does not cover"):
        clips.mix(target, background[:-1], 0.0)


def test_clip_is_a_recording_at_25_fps_with_its_speech(tmp_path: Path) -> None:
    clean = clips.make_clip(tmp_path / "it's a clip.mp4", 1.28, seed=5, size=(96, 128))
    assert [path.name for path in tmp_path.iterdir()] == ["it's a clip.mp4"]
    recording = reader.probe(tmp_path / "it's a clip.mp4")
    assert recording.video is not None
    assert (recording.video.width, recording.video.height) == (128, 96)
    assert len(list(reader.read_frames(recording))) == 32
    decoded = reader.load_audio(recording)[:, 0]
    assert lag(decoded[: len(clean)], clean) == 0
    assert np.corrcoef(decoded[: len(clean)], clean)[0, 1] > 0.98


def test_ffmpeg_reports_why_a_clip_cannot_be_written(tmp_path: Path) -> None:
    from avse.errors import InputError

    with pytest.raises(InputError) as caught:
        clips.make_clip(tmp_path / "clip.unknown", 0.4, size=(96, 128))
    assert "clip.unknown" in caught.value.message
    assert caught.value.hint
    assert not list(tmp_path.iterdir())


def test_samples_are_small_and_line_up_with_their_references(samples: list[Path]) -> None:
    assert [path.name for path in samples] == [
        "talker-with-second-talker.mp4",
        "talker-with-second-talker.reference.wav",
        "talker-with-noise.mp4",
        "talker-with-noise.reference.wav",
    ]
    for clip, path, background_db in zip(samples[::2], samples[1::2], (0.0, -5.0), strict=True):
        assert max(clip.stat().st_size, path.stat().st_size) < 500_000
        reference, sample_rate = soundfile.read(path)
        decoded = reader.load_audio(reader.probe(clip))[:, 0]
        assert sample_rate == 16000
        assert len(reference) == len(decoded)
        assert lag(decoded, reference) == 0
        added = np.mean((decoded - reference) ** 2)
        assert 10 * np.log10(added / np.mean(reference**2)) == pytest.approx(background_db, abs=0.5)


def test_face_is_found_throughout_the_samples(samples: list[Path]) -> None:
    detect = Detector(num_threads=1)
    for index, frame in enumerate(reader.read_frames(reader.probe(samples[0]))):
        if index % 10 == 0:
            (face,) = detect(frame)
            assert face.score > 0.8


def test_samples_are_not_overwritten_unasked(samples: list[Path]) -> None:
    before = samples[0].stat().st_mtime_ns
    with pytest.raises(UsageError, match="exists already"):
        clips.make_samples(samples[0].parent)
    with pytest.raises(UsageError, match="not a folder"):
        clips.make_samples(samples[0])
    assert samples[0].stat().st_mtime_ns == before


def test_samples_are_made_again_to_the_same_bytes(samples: list[Path]) -> None:
    before = [path.read_bytes() for path in samples]
    clips.make_samples(samples[0].parent, force=True)
    assert [path.read_bytes() for path in samples] == before
