"""``avse mix`` uses clips that can be heard in the mixture; bad.csv lists the others as long as there are any."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from avse.data.mixtures import mixture_table, recipes
from avse.data.mixtures.generate import make_mixtures
from avse.data.mixtures.recipes import MixtureConfig, clips_by_speaker, make_mixture, make_muse_mixture
from avse.data.mixtures.request import MixtureRequest
from avse.data.synthetic.speech import speak
from avse.dsp.levels import rms
from avse.errors import InputError
from avse.io import audio_files
from avse_cli.main import app

RATE = 16000
pytestmark = pytest.mark.usefixtures("one_process")


def mix(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["mix", *map(str, arguments), "-j", "1"])


def write_voice(path: Path, silent_seconds: float = 0.0, seconds: float = 1.0) -> None:
    """A voice after a time of silence."""
    voice = speak(seconds, seed=len(path.parent.name)).waveform
    audio_files.write_audio_file(path, np.concatenate([np.zeros(round(silent_seconds * RATE)), voice]))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two people, each with a clip that begins with speech and one that begins with silence."""
    for person in ("a", "bb"):
        write_voice(tmp_path / "clips" / person / "early.wav")
        write_voice(tmp_path / "clips" / person / "late.wav", 1.0)
    return tmp_path / "clips"


@pytest.mark.parametrize("layout", ["avse", "muse"])
def test_a_clip_that_is_silent_as_long_as_the_mixture_is_passed_over(layout: str, clips: Path, tmp_path: Path) -> None:
    shown = mix(clips, tmp_path / "m", "-n", "8", "--seconds", "0.8", "--layout", layout)
    assert "8 mixtures in" in shown.stdout, shown.output
    assert "late.wav is silent for its first 0.8 s." in (tmp_path / "m" / "bad.csv").read_text()
    rows = [row for rows in mixture_table.read_rows(tmp_path / "m").values() for row in rows]
    assert not any(row["file"].endswith("late.wav") for row in rows if row["role"] == "target" or layout == "muse")
    heard = [rms(audio_files.read_audio_file(path)) for path in (tmp_path / "m").rglob("*.wav")]
    assert min(heard) > 1e-3


@pytest.mark.parametrize("layout", ["avse", "muse"])
def test_silence_after_the_used_part_or_before_all_of_it_does_no_harm(layout: str, clips: Path) -> None:
    config = MixtureConfig(seconds=1.5)
    for path in clips.rglob("early.wav"):
        path.unlink()
    found = clips_by_speaker(clips)
    mixture = make_muse_mixture(config, found, 0) if layout == "muse" else make_mixture(config, found, {}, 0)
    assert not mixture.passed_over
    assert {len(audio) for audio in mixture.roles.values()} == {24000}


@pytest.mark.parametrize("layout", ["avse", "muse"])
def test_a_person_who_is_always_silent_at_first_ends_the_mixture_and_no_other(layout: str, tmp_path: Path) -> None:
    for person, silent_seconds in (("a", 0.0), ("bb", 0.0), ("ccc", 1.0)):
        write_voice(tmp_path / "clips" / person / "1.wav", silent_seconds)
    shown = mix(tmp_path / "clips", tmp_path / "m", "-n", "12", "--seconds", "0.8", "--layout", layout)
    made = mixture_table.read_rows(tmp_path / "m")
    assert (shown.exit_code, shown.stderr) == (1, "")
    assert f"{12 - len(made)} failed" in shown.stdout
    assert (tmp_path / "m" / "bad.csv").read_text().count("No usable clip was found") == 12 - len(made)
    assert {rows[0]["speaker"] for rows in made.values()} == {"a", "bb"}


@pytest.mark.parametrize("speakers", [("a", "bb"), ("bb", "a")])
def test_a_muse_mixture_that_ends_before_its_target_begins_is_an_error(
    speakers: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_voice(tmp_path / "a" / "1.wav", 1.5)
    write_voice(tmp_path / "bb" / "1.wav")
    monkeypatch.setattr(recipes, "draw_speakers", lambda config, clips, index: speakers)
    if speakers[0] == "bb":
        assert np.isfinite(make_muse_mixture(MixtureConfig(), clips_by_speaker(tmp_path), 0).roles["mixture"]).all()
    else:
        with pytest.raises(InputError, match=r"a/1\.wav, or its mixture, is silent for the first 1\.00 s"):
            make_muse_mixture(MixtureConfig(), clips_by_speaker(tmp_path), 0)


def test_a_muse_mixture_whose_voices_cancel_is_an_error(tmp_path: Path) -> None:
    voice = 0.5 * speak(1.0).waveform
    for person, waveform in (("a", voice), ("bb", -voice)):
        audio_files.write_audio_file(tmp_path / person / "1.wav", waveform)
    with pytest.raises(InputError, match="is silent for the first"):
        make_muse_mixture(MixtureConfig(), clips_by_speaker(tmp_path), 0)


@pytest.mark.parametrize("inside", ["clips", "clips/a", "clips/bb", "."])
@pytest.mark.parametrize("output", ["mixtures", "clips/mixtures", "clips/bb/mixtures"])
def test_the_folder_in_which_it_is_started_does_not_matter(
    inside: str, output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for person in ("a", "bb"):
        write_voice(tmp_path / "clips" / person / "1.wav")
    monkeypatch.chdir(tmp_path / inside)
    for _ in range(2):
        shown = mix(os.path.relpath(tmp_path / "clips"), tmp_path / output, "-n", "2")
        assert shown.exit_code == 0, shown.output
    files = {row["file"] for rows in mixture_table.read_rows(tmp_path / output).values() for row in rows}
    assert files == {"a/1.wav", "bb/1.wav"}


@pytest.mark.parametrize("layout", ["avse", "muse"])
def test_a_clip_of_which_a_sample_is_no_number_is_passed_over(layout: str, clips: Path, tmp_path: Path) -> None:
    for path in clips.rglob("late.wav"):
        soundfile.write(path, np.full(RATE, np.nan), RATE, "FLOAT")
    assert mix(clips, tmp_path / "m", "-n", "4", "--layout", layout).exit_code == 1
    assert "late.wav contains NaN or infinite values." in (tmp_path / "m" / "bad.csv").read_text()
    rows = [row for rows in mixture_table.read_rows(tmp_path / "m").values() for row in rows]
    assert not any(row["file"].endswith("late.wav") for row in rows)


def test_bad_csv_stays_when_a_finished_run_is_repeated(clips: Path, tmp_path: Path) -> None:
    for path in clips.rglob("late.wav"):
        path.write_bytes(b"no audio")
    first = mix(clips, tmp_path / "m", "-n", "4")
    listed = (tmp_path / "m" / "bad.csv").read_bytes()
    again = mix(clips, tmp_path / "m", "-n", "4")
    assert (first.exit_code, again.exit_code, again.stdout) == (1, 1, first.stdout)
    assert (tmp_path / "m" / "bad.csv").read_bytes() == listed


def test_clips_that_were_skipped_before_an_interruption_are_listed(clips: Path, tmp_path: Path) -> None:
    for path in clips.rglob("late.wav"):
        path.write_bytes(b"no audio")
    made = make_mixtures(MixtureRequest(clips, tmp_path / "m", MixtureConfig(), 8), 1)
    skipped = next(outcome.passed_over for outcome in made if outcome.passed_over)
    made.close()
    assert (tmp_path / "m" / "mixtures.part.csv").exists()
    sources = [str(path) for path in clips.rglob("*.wav")]
    assert mixture_table.read_skipped(tmp_path / "m", sources) == sorted(skipped)
    assert mixture_table.read_skipped(tmp_path / "m", ()) == []


def test_bad_csv_goes_when_the_clips_are_repaired(tmp_path: Path) -> None:
    for person in ("a", "bb"):
        write_voice(tmp_path / "clips" / person / "1.wav")
    clip = tmp_path / "clips" / "bb" / "1.wav"
    whole = clip.read_bytes()
    clip.write_bytes(b"no audio")
    assert mix(tmp_path / "clips", tmp_path / "m", "-n", "2").exit_code == 1
    assert (tmp_path / "m" / "bad.csv").exists()
    clip.write_bytes(whole)
    assert mix(tmp_path / "clips", tmp_path / "m", "-n", "2").exit_code == 0
    assert not (tmp_path / "m" / "bad.csv").exists()
