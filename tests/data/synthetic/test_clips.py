"""Synthetic recordings: the same for the same seed; lips match the audio; the face is detected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.data.synthetic import clips
from avse.data.synthetic.speech import speak
from avse.errors import UsageError
from avse.faces.detection import Detector
from avse.io import reader


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return clips.make_samples(tmp_path_factory.mktemp("made") / "samples")


def lag(decoded: np.ndarray, reference: np.ndarray) -> int:
    """Samples by which ``decoded`` comes later."""
    size = 2 * len(reference)
    correlation = np.fft.irfft(np.fft.rfft(decoded, size) * np.fft.rfft(reference, size).conj(), size)
    return int((np.argmax(correlation) + len(reference)) % size - len(reference))


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
    with pytest.raises(UsageError, match="already exists"):
        clips.make_samples(samples[0].parent)
    with pytest.raises(UsageError, match="not a folder"):
        clips.make_samples(samples[0])
    assert samples[0].stat().st_mtime_ns == before


def test_samples_are_made_again_to_the_same_bytes(samples: list[Path]) -> None:
    before = [path.read_bytes() for path in samples]
    clips.make_samples(samples[0].parent, force=True)
    assert [path.read_bytes() for path in samples] == before
