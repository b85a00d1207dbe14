"""Everyone at once, what was removed, and the background: of two made-up people who take turns and overlap."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from panels import make_lips_readable, write_panel

import avse
from avse.enhancement.background import with_background
from avse.enhancement.enhancer import Enhancer, load_model
from avse.enhancement.masking import merge_masks
from avse.enhancement.result import format_intervals
from avse.errors import UsageError
from avse.io import reader
from avse.io.arrays import as_recording
from avse.io.wav import as_stored

FRAMES = np.arange(250)
LEFT, RIGHT = (FRAMES < 75) | (FRAMES >= 200), (FRAMES >= 125)
"""The left one speaks 0 to 3 s and 8 to 10 s, the right one 5 to 10 s."""


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("panel") / "panel.mp4"
    np.save(path.with_suffix(".npy"), write_panel(path, LEFT, RIGHT))
    return path


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> Iterator[Enhancer]:
    with pytest.MonkeyPatch.context() as patch:
        make_lips_readable(patch)
        yield load_model(str(tiny_model), "cpu")


@pytest.fixture(scope="module")
def everyone(panel: Path, model: Enhancer) -> avse.Result:
    return avse.enhance(panel, model=model, speaker="everyone")


@pytest.fixture(scope="module")
def left(panel: Path, model: Enhancer) -> avse.Result:
    return avse.enhance(panel, model=model, speaker="left")


def written(path: Path) -> np.ndarray:
    return np.asarray(soundfile.read(path, dtype="float64", always_2d=True)[0])


def level_db(waveform: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(waveform)) + 1e-12))


def test_largest_mask_counts_and_nothing_adds_up() -> None:
    """Nobody is below their own mask, residual noise does not add up, and a single mask keeps its phase."""
    masks = [torch.rand(2, 9, 4), -torch.rand(2, 9, 4), torch.full((2, 9, 4), 0.1)]
    merged = merge_masks(masks)
    assert all((merged >= mask.abs()).all() for mask in masks)
    torch.testing.assert_close(merge_masks([masks[2]] * 5), masks[2])
    assert merged.max() <= 1
    assert merge_masks(masks[1:2]) is masks[1]


def test_everyone_keeps_what_each_mask_keeps(panel: Path, see_through: Path) -> None:
    """Two masks that keep everything do not add up to twice the audio."""
    result = avse.enhance(panel, model=str(see_through), speaker="everyone")
    before = reader.load_audio(reader.probe(panel))
    assert result.waveform is not None
    assert np.abs(result.waveform - before).max() < 1e-4
    assert result.speakers == [1, 2]
    assert result.note.startswith("The voices of 2 faces were kept: face 1 (")


def test_several_faces_are_kept_by_their_numbers(panel: Path, model: Enhancer, everyone: avse.Result) -> None:
    several = avse.enhance(panel, model=model, speaker=" 2 , 2,1")
    np.testing.assert_array_equal(several.waveform, everyone.waveform)
    assert several.speakers == [1, 2]
    assert avse.enhance(panel, model=model, speaker="2,2").speakers == [2]
    for wrong in ("1,3", "1,", "0,1", "1,left"):
        with pytest.raises(UsageError):
            avse.enhance(panel, model=model, speaker=wrong)


def voice_gain_db(output: np.ndarray, voices: np.ndarray, k: int, begin: float, end: float) -> float:
    """Gain of voice ``k`` in an output (N,), by least squares on both voices (2, N): what leaks in does not count."""
    part = slice(round(begin * 16000), round(end * 16000))
    spoken = [voice[part] for voice in voices if np.any(voice[part])]
    gains = np.linalg.lstsq(np.stack(spoken, 1), output[part], rcond=None)[0]
    return float(20 * np.log10(abs(gains[k if len(spoken) > 1 else 0])))


def test_each_person_is_as_loud_with_everyone_as_alone(panel: Path, tmp_path: Path) -> None:
    """Within 1 dB, in turns and where both speak; with the model that ships, as an untrained one separates nothing."""
    model = load_model("avse", "cpu")
    together = avse.enhance(panel, model=model, speaker="everyone").waveform
    summary = avse.enhance_all(panel, tmp_path / "all", model=model)
    voices = np.load(panel.with_suffix(".npy"))
    assert together is not None
    alone = {face["position"]: written(tmp_path / "all" / face["audio"])[:, 0] for face in summary["faces"]}
    for k, place, begin, end in (
        (0, "left", 1.0, 2.5),
        (1, "right", 5.5, 7.5),
        (0, "left", 8, 10),
        (1, "right", 8, 10),
    ):
        gains = [voice_gain_db(output, voices, k, begin, end) for output in (together[:, 0], alone[place])]
        assert gains[0] == pytest.approx(gains[1], abs=1.0)
        assert min(gains) > -3


@pytest.mark.parametrize(("speaker", "strength"), [("active", 1.0), ("everyone", 0.8)])
def test_voice_and_background_add_up_to_the_recording(
    panel: Path, model: Enhancer, tmp_path: Path, speaker: str, strength: float
) -> None:
    voice, background = tmp_path / "voice.wav", tmp_path / "background.wav"
    avse.enhance(panel, voice, model=model, speaker=speaker, strength=strength, background=background)
    np.testing.assert_allclose(written(voice) + written(background), reader.load_audio(reader.probe(panel)), atol=1e-4)
    assert level_db(written(background)) > -60
    in_memory = avse.enhance(panel, model=model, speaker=speaker, strength=strength, background=True)
    assert in_memory.background is not None
    np.testing.assert_allclose(in_memory.background, written(background), atol=1e-4)
    assert "background" not in in_memory.as_dict()


def test_background_of_all_is_what_belongs_to_nobody(panel: Path, model: Enhancer, tmp_path: Path) -> None:
    summary = avse.enhance_all(panel, tmp_path / "all", model=model, background=tmp_path / "rest.flac")
    voices = [written(tmp_path / "all" / face["audio"]) for face in summary["faces"]]
    total = sum(voices) + written(tmp_path / "rest.flac")
    np.testing.assert_allclose(total, reader.load_audio(reader.probe(panel)), atol=1e-4)
    assert summary["background"] == str(tmp_path / "rest.flac")


@pytest.mark.parametrize("num_voices", [1, 5, 12])
def test_rounded_files_of_any_number_of_voices_add_up(num_voices: int) -> None:
    rng = np.random.default_rng(0)
    mixture = 0.1 * rng.standard_normal((20000, 2)).astype(np.float32)
    voices = [0.05 * rng.standard_normal((20000, 2)).astype(np.float32) for _ in range(num_voices)]
    steps = (tuple(voice[k : k + 3000] for voice in voices) for k in range(0, 20000, 3000))
    recording = as_recording(mixture, 16000, None, None, "rgb")
    files = [np.concatenate(blocks) for blocks in zip(*with_background(steps, recording, "PCM_16"), strict=True)]
    total = sum(as_stored(file, "PCM_16").astype(np.float64) for file in files)
    assert np.abs(total - mixture).max() <= 1.01 * 2**-16


@pytest.mark.parametrize(("name", "word"), [("voice.wav", "both"), ("rest.mp4", ".mp4"), ("old.wav", "exists")])
def test_background_that_cannot_be_is_refused(
    panel: Path, model: Enhancer, tmp_path: Path, name: str, word: str
) -> None:
    (tmp_path / "old.wav").write_text("old")
    with pytest.raises(UsageError, match=word):
        avse.enhance(panel, tmp_path / "voice.wav", model=model, background=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["old.wav"]


def test_it_reports_who_was_removed_and_when(left: avse.Result, everyone: avse.Result) -> None:
    (warning,) = [each for each in left.warnings if each.code == "speaker_removed"]
    other = next(face for face in left.faces if face["position"] == "right")
    assert warning.text.startswith(f"Face {other['number']} (right) also speaks 0:0")
    assert warning.text.endswith("; removed. To keep everyone, use --speaker everyone.")
    assert left.removed == [other["number"]]
    assert left.note.endswith(warning.text)
    assert {"code": "speaker_removed", "text": warning.text, "is_loss": False} in left.as_dict()["warnings"]
    assert [each for each in everyone.warnings if each.code == "speaker_removed"] == []


def test_speech_of_each_face_is_found_to_a_second(left: avse.Result) -> None:
    faces = {face["position"]: face for face in left.as_dict()["faces"]}
    for place, truth in (("left", LEFT), ("right", RIGHT)):
        found = np.zeros(250, bool)
        for begin, end in faces[place]["speech_intervals_seconds"]:
            found[round(begin * 25) : round(end * 25)] = True
        assert np.mean(found != truth) < 0.25
        assert faces[place]["speech_seconds"] == pytest.approx(found.sum() / 25, abs=0.01)
        assert faces[place]["speech_share"] == pytest.approx(found.mean(), abs=0.001)


def test_arrays_give_everyone_too(panel: Path, model: Enhancer, everyone: avse.Result) -> None:
    recording = reader.probe(panel)
    frames = np.stack(list(reader.read_frames(recording)))
    from_arrays = model.enhance(reader.load_audio(recording), 16000, frames, 25, speaker="everyone")
    np.testing.assert_allclose(from_arrays, everyone.waveform, atol=1e-3)


def test_face_that_never_moves_has_no_voice(model: Enhancer, tmp_path: Path) -> None:
    path = tmp_path / "photograph.mp4"
    write_panel(path, np.ones(100, bool), np.zeros(100, bool))
    summary = avse.enhance_all(path, tmp_path / "all", model=model)
    by_place = {face["position"]: face for face in summary["faces"]}
    assert by_place["right"]["audio"] is None
    assert "never moves" in by_place["right"]["reason"]
    moving = by_place["left"]["number"]
    assert {item.name for item in (tmp_path / "all").iterdir()} == {
        "faces.json", "face-1.png", "face-2.png", f"face-{moving}.wav",
    }  # fmt: skip
    assert avse.enhance(path, model=model, speaker="everyone").speakers == [moving]


def test_every_person_gets_a_video_and_a_loudness(panel: Path, model: Enhancer, tmp_path: Path) -> None:
    summary = avse.enhance_all(panel, tmp_path / "all", model=model, suffix=".mkv", loudness_lufs=-30.0)
    for face in summary["faces"]:
        assert face["audio"] == f"face-{face['number']}.mkv"
        assert reader.probe(tmp_path / "all" / face["audio"]).video is not None
        assert face["levels"]["after_lufs"] == pytest.approx(-30.0, abs=0.1)
    with pytest.raises(UsageError, match="suffix"):
        avse.enhance_all(panel, tmp_path / "other", model=model, suffix=".doc")


@pytest.mark.parametrize(
    ("intervals", "text"),
    [
        ([(2.2, 5.4)], "0:02-0:05"),
        ([(2.0, 5.0), (11.0, 15.0)], "0:02-0:05 and 0:11-0:15"),
        ([(0.0, 1.0), (61.0, 62.0), (3599.6, 3605.0)], "0:00-0:01, 1:01-1:02 and 1:00:00-1:00:05"),
        ([(k, k + 1.0) for k in range(7)], "0:00-0:01, 0:01-0:02, 0:02-0:03, 0:03-0:04 and 3 times more"),
        ([], ""),
    ],
)
def test_intervals_as_text(intervals: list[tuple[float, float]], text: str) -> None:
    assert format_intervals(intervals) == text
