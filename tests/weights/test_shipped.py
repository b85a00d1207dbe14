"""Several shipped networks, one of them audio-only: names, lists, cards, hashes, doctor, and use."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import coloured_noise, write_recording
from small_world import stirred, tiny
from typer.testing import CliRunner

from avse import doctor
from avse.enhancement.enhancer import load_model
from avse.evaluation.systems import parse_systems
from avse.faces import detection, face_tracker
from avse.profiling.spans import profile
from avse.weights import pretrained
from avse.weights.checkpoint import save_checkpoint
from avse_cli.main import app

FUSIONS = {"avse": "mmtm", "avse-audio": "none", "avse-small": "cwc"}
GAINS = {"validation/improvement_db/seen": 3.25, "validation/improvement_db/unseen": 3.0}


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with three nets, their cards and their hashes."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr(pretrained, "files", lambda package: folder)
    sums = []
    for name, fusion in FUSIONS.items():
        path = folder / f"{name}.safetensors"
        save_checkpoint(path, stirred(tiny(fusion)), {"name": name, "validation": GAINS}, half=True)
        path.with_suffix(".md").write_text(f"# Model card: `{name}`\n")
        sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


@pytest.fixture
def no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if faces are detected."""

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("somebody looked for faces")

    monkeypatch.setattr(detection, "Detector", refuse)
    monkeypatch.setattr(face_tracker, "track_faces", refuse)


def avse(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_each_is_found_by_its_name(shipped: Path) -> None:
    assert pretrained.names() == sorted(FUSIONS)
    for name, fusion in FUSIONS.items():
        model = pretrained.load_model(name, "cpu")
        assert (model.about["name"], model.net.config.fusion) == (name, fusion)
        assert pretrained.card(name) == f"# Model card: `{name}`\n"
        assert avse("models", "show", name).stdout.startswith(f"# Model card: `{name}`")
    assert pretrained.load_model(device="cpu").about["name"] == "avse"


def test_the_list_shows_which_model_is_audio_only(shipped: Path) -> None:
    lines = {line.split()[0]: line for line in avse("models", "list").stdout.splitlines()[1:]}
    assert list(lines) == sorted(FUSIONS)
    assert "SI-SDR +3.2 with video, +3.0 without (dB)" in lines["avse-small"]
    assert "SI-SDR +3.0 audio only (dB)" in lines["avse-audio"]
    assert " none " in lines["avse-audio"]


def test_all_are_verified_and_one_that_was_replaced_is_found(shipped: Path) -> None:
    assert [line.endswith(": ok") for line in avse("models", "verify").stdout.splitlines()] == [True] * 3
    assert {(found.name, found.state, found.detail) for found in doctor._models()} == {
        (f"model {name}", doctor.OK, "loads; as shipped") for name in FUSIONS
    }
    save_checkpoint(shipped / "avse-audio.safetensors", stirred(tiny("none")), {})
    assert avse("models", "verify").exit_code == 1
    assert {found.name: found.state for found in doctor._models()} == {
        "model avse": doctor.OK, "model avse-audio": doctor.WARNING, "model avse-small": doctor.OK,
    }  # fmt: skip


@pytest.mark.usefixtures("no_detector")
def test_the_audio_only_model_detects_no_face(shipped: Path, clip: Path, tmp_path: Path) -> None:
    done = avse("enhance", clip, "-o", tmp_path / "clean.wav", "--model", "avse-audio", "--json")
    assert done.exit_code == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["model"], summary["num_faces"], summary["speaker"]) == ("avse-audio", 0, 0)
    assert summary["note"] == "The video was ignored; only the audio was used."


@pytest.mark.usefixtures("no_detector")
@pytest.mark.parametrize("speaker", ["2", "left", "all"])
def test_it_cannot_be_asked_for_a_face(shipped: Path, clip: Path, tmp_path: Path, speaker: str) -> None:
    output = tmp_path / ("out" if speaker == "all" else "clean.wav")
    done = avse("enhance", clip, "-o", output, "--model", "avse-audio", "--speaker", speaker)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (2, "", 2)
    assert "audio-only model" in done.stderr
    assert not output.exists()


def test_the_small_one_follows_the_face(shipped: Path, clip: Path, tmp_path: Path) -> None:
    done = avse("enhance", clip, "-o", tmp_path / "clean.wav", "--model", "avse-small", "--json")
    assert (json.loads(done.stdout)["model"], json.loads(done.stdout)["num_faces"]) == ("avse-small", 1)


def test_the_default_hands_over_to_it_where_there_is_no_face(shipped: Path, clip: Path, tmp_path: Path) -> None:
    audio_file = write_recording(tmp_path / "audio.wav", coloured_noise(16000))
    used = {}
    for name in FUSIONS:
        for source, options in ((clip, []), (clip, ["--no-video"]), (audio_file, [])):
            done = avse("enhance", source, "-o", tmp_path / "out.wav", "--model", name, "--force", "--json", *options)
            used.setdefault(name, []).append(json.loads(done.stdout)["model"])
    assert used == {
        "avse": ["avse", "avse-audio", "avse-audio"],
        "avse-audio": ["avse-audio"] * 3,
        "avse-small": ["avse-small"] * 3,
    }


def test_scores_without_the_video_name_the_net_that_gave_them(shipped: Path) -> None:
    _, seen, unseen, listener = parse_systems(["avse", "avse:no-video", "avse-audio"])
    assert seen.sha256 != unseen.sha256 == listener.sha256


def test_arrays_without_frames_are_handed_over_too(shipped: Path) -> None:
    noise = coloured_noise(16000)
    default, listener, small = (load_model(name, "cpu").enhance(noise, 16000) for name in sorted(FUSIONS))
    np.testing.assert_array_equal(default, listener)
    assert np.abs(default - small).max() > 1e-3


def test_stages_are_measured_of_the_net_that_is_used(shipped: Path, tmp_path: Path) -> None:
    audio_file = write_recording(tmp_path / "audio.wav", coloured_noise(16000))
    run = profile(pretrained.load_model("avse", "cpu"), audio_file, tmp_path / "out.wav")
    assert run.result.model == "avse-audio"
    assert run.net.lips is None


def test_what_really_ships_is_small_and_whole() -> None:
    paths = [pretrained.find(name) for name in pretrained.names()]
    assert sum(path.stat().st_size for path in paths) < 20e6
    assert all(path.with_suffix(".md").is_file() for path in paths)
    assert pretrained.DEFAULT in pretrained.names()


@pytest.mark.parametrize("name", pretrained.names())
def test_card_states_the_gain(name: str) -> None:
    assert "dB" in pretrained.scores(name)
