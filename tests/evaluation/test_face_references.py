"""References of several people: found by their numbers, and averaged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import soundfile
from recordings import coloured_noise

from avse.errors import InputError, UsageError
from avse.evaluation.face_references import mean_scores, read_face_references, score_faces


def test_references_are_those_of_the_numbers(tmp_path: Path) -> None:
    waveform = coloured_noise(32000)
    for name in ("face-1.wav", "face-12.flac", "face-x.wav", "other.wav", "recording.wav"):
        soundfile.write(tmp_path / name, waveform, 16000)
    (tmp_path / "face-2.png").touch()
    references = read_face_references(tmp_path, tmp_path / "recording.wav")
    assert sorted(references) == [1, 12]
    faces = [
        {"number": 1, "audio": "recording.wav"},
        {"number": 12, "audio": None},
        {"number": 3, "audio": "face-1.wav"},
    ]
    score_faces(faces, references, tmp_path / "recording.wav", tmp_path)
    assert [("scores" in face) for face in faces] == [True, False, False]


def test_references_that_cannot_be_used(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "recording.wav", coloured_noise(32000), 16000)
    with pytest.raises(UsageError, match="no reference file in"):
        read_face_references(tmp_path, tmp_path / "recording.wav")
    soundfile.write(tmp_path / "face-1.wav", coloured_noise(16000), 16000)
    with pytest.raises(InputError, match="long"):
        read_face_references(tmp_path, tmp_path / "recording.wav")


def test_mean_leaves_out_what_could_not_be_computed() -> None:
    scored = [{"before": {"a": 1.0, "b": math.nan}, "after": {"a": 2.0, "b": 4.0}} for _ in range(2)]
    scored[1]["after"] = {"a": 4.0, "b": math.nan}
    mean = mean_scores([{"scores": scores} for scores in scored] + [{}])
    assert mean["after"] == {"a": 3.0, "b": 4.0}
    assert mean["before"]["a"] == 1.0
    assert math.isnan(mean["before"]["b"])
    assert "reason" in mean_scores([{}])
