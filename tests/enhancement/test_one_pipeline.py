"""A file, arrays, all faces and the benchmark give the same samples, also for late video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import ffmpeg, write_recording

import avse
from avse.active_speaker import av_sync, detection
from avse.enhancement.all_speakers import analyse_recording
from avse.enhancement.enhancer import Enhancer, load_model
from avse.io import reader
from avse.profiling.spans import profile

LATE_FRAMES = 5


@pytest.fixture
def model(tiny_model: Path) -> Enhancer:
    return load_model(str(tiny_model), "cpu")


@pytest.fixture
def late(clip: Path, tmp_path: Path) -> Path:
    """Return the talking head with its video 0.2 s late."""
    source = reader.probe(clip)
    waveform = reader.load_audio(source)[LATE_FRAMES * 640 :, 0]
    frames = np.stack(list(reader.read_frames(source)))
    return write_recording(tmp_path / "late.mkv", waveform, frames, "-c:a", "pcm_f32le")


def written(path: Path) -> np.ndarray:
    return np.asarray(soundfile.read(path, dtype="float32", always_2d=True)[0])


def find_offset(monkeypatch: pytest.MonkeyPatch, frames: int) -> None:
    """An untrained network cannot estimate an offset."""
    for module in (av_sync, detection):
        monkeypatch.setattr(module, "estimate_av_offset", lambda *given: frames)


def test_every_way_in_gives_the_same_samples(
    late: Path, model: Enhancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_late = avse.enhance(late, model=model)
    find_offset(monkeypatch, LATE_FRAMES)
    from_file = avse.enhance(late, model=model)
    assert from_file.waveform is not None
    assert left_late.waveform is not None
    assert from_file.av_offset_seconds == 0.2
    assert np.abs(from_file.waveform - left_late.waveform).max() > 2e-4  # the offset reaches the net

    recording = reader.probe(late)
    frames = np.stack(list(reader.read_frames(recording)))
    from_arrays = model.enhance(reader.load_audio(recording), 16000, frames, 25)
    np.testing.assert_array_equal(from_arrays, from_file.waveform)

    avse.enhance(late, tmp_path / "file.wav", model=model)
    run = profile(model, late, tmp_path / "profiled.wav")
    assert run.result.av_offset_seconds == 0.2
    avse.enhance_all(late, tmp_path / "all", model=model)
    for other in (tmp_path / "profiled.wav", tmp_path / "all/face-1.wav"):
        np.testing.assert_array_equal(written(other), written(tmp_path / "file.wav"))


def test_video_that_starts_late_in_its_file_is_the_same_for_the_benchmark(
    clip: Path, model: Enhancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "offset.mkv"
    ffmpeg("-itsoffset", "0.2", "-i", clip, "-i", clip, "-map", "0:v", "-map", "1:a", "-c", "copy", path)
    find_offset(monkeypatch, LATE_FRAMES)
    avse.enhance(path, tmp_path / "file.wav", model=model)
    assert profile(model, path, tmp_path / "profiled.wav").result.av_offset_seconds == 0.2
    np.testing.assert_array_equal(written(tmp_path / "profiled.wav"), written(tmp_path / "file.wav"))


@pytest.mark.parametrize("frames", [0, LATE_FRAMES])
def test_one_face_has_one_offset_however_it_is_asked_for(
    late: Path, model: Enhancer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    """The offset is that of the first minute, not that of the whole recording."""
    calls: list[int] = []

    def estimate(predicted: np.ndarray, energies: np.ndarray, visible: np.ndarray) -> int:
        calls.append(len(predicted))
        return frames

    monkeypatch.setattr(av_sync, "MAX_VISIBLE_FRAMES", 10)
    for module in (av_sync, detection):
        monkeypatch.setattr(module, "estimate_av_offset", estimate)
    default = avse.enhance(late, model=model).av_offset_seconds
    everyone = avse.enhance_all(late, tmp_path / "all", model=model)["faces"][0]
    listed = analyse_recording(late, model).selection.scene.facts(0, 27)
    assert default == everyone["av_offset_seconds"] == listed["av_offset_seconds"] == frames / 25
    assert default == everyone["picture_late_seconds"]
    assert calls == [10, 10, 10]
