"""One item of an evaluation: what is scored, and what becomes of each thing that goes wrong."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from evaluating import COPY, RATE, assert_failed, rows, write_pair, write_pairs
from recordings import si_sdr

from avse.data.synthetic.clips import street_noise
from avse.data.synthetic.speech import speak
from avse.errors import MissingError, UsageError
from avse.evaluation import dnsmos, metrics, pesq_worker
from avse.evaluation.corpora.corpus import Item, Recipe, recognise
from avse.evaluation.corpora.layouts import LAYOUTS
from avse.evaluation.evaluate import Request, evaluate
from avse.evaluation.scoring import safe
from avse.evaluation.systems import System, parse_systems
from avse.io import audio_files
from avse.weights import pretrained
from avse.weights.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "data")


@pytest.fixture(scope="module")
def talking(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a list of one talking head, apart from its mixture; the target is the voice in the video."""
    folder = tmp_path_factory.mktemp("talking") / "data"
    clean = audio_files.read_audio_file(clip)
    for kind, waveform in (("mix", clean + 0.5 * street_noise(1.28)[: len(clean)]), ("s1", clean)):
        audio_files.write_audio_file(folder / kind / "x.wav", waveform)
    (folder / "video").mkdir()
    shutil.copy(clip, folder / "video" / "x.mp4")
    return folder


def test_video_is_used_unless_ignored(talking: Path, see_through: Path, tmp_path: Path, monkeypatch) -> None:
    looked: list[bool] = []
    library = importlib.import_module("avse.enhancement.pipeline")
    real = library.enhance
    monkeypatch.setattr(
        library, "enhance", lambda *files, **options: looked.append(real(*files, **options).seen_share > 0.9)
    )
    item = recognise(talking, LAYOUTS).items[0]
    mixed, seen, unseen = rows(tmp_path, item, f"seen={see_through}", f"unseen={see_through}:no-video")
    assert looked == [True, False]
    assert mixed["video"] == mixed["picture"] == str(talking / "video" / "x.mp4")
    for row in (seen, unseen):
        assert row["scores"] == pytest.approx(mixed["scores"], abs=0.02)
        assert row["elapsed_seconds"] > 0
    assert mixed["scores"]["si_sdr"] < 20  # the audio in the video, which is the target, is not enhanced


def test_mixture_in_no_file_is_made_and_kept_for_listening(pairs: Path, tmp_path: Path) -> None:
    sources = (pairs / "clean" / "a.wav", pairs / "clean" / "b.wav")
    (row,) = rows(tmp_path, Item("a/b", "test", Recipe(sources), sources[0], cut=True))
    assert row["status"] == "ok", row["reason"]
    assert row["mixture"] == row["estimate"] == str(tmp_path / "mixtures/test" / f"{safe('a/b')}.wav")
    assert audio_files.read_audio_file(Path(row["mixture"])) == pytest.approx(
        (audio_files.read_audio_file(sources[0]) + audio_files.read_audio_file(sources[1])) / 2, abs=1e-4
    )


def test_estimates_are_kept_only_where_they_are_wanted(pairs: Path, tmp_path: Path) -> None:
    item = recognise(pairs, LAYOUTS).items[0]
    _, kept = rows(tmp_path / "a", item, f"copy={COPY}")
    _, gone = rows(tmp_path / "b", item, f"copy={COPY}", keep_estimates=False)
    assert kept["estimate"] == str(tmp_path / "a/estimates/copy/a.wav")
    assert gone["estimate"] is None
    assert gone["scores"] == pytest.approx(kept["scores"], rel=1e-12)
    assert not (tmp_path / "b").exists()


# Everything that goes wrong is a row with its reason ----------------------------------------------------------------


def test_missing_files(pairs: Path, tmp_path: Path) -> None:
    there, nowhere = pairs / "noisy" / "a.wav", tmp_path / "nowhere.wav"
    (row,) = rows(tmp_path, Item("x", "", there, nowhere))
    assert_failed(row, "There is no file", "nowhere.wav")
    (row,) = rows(tmp_path, Item("x", "", nowhere, there))
    assert_failed(row, "nowhere.wav")
    assert all(np.isnan(value) for value in row["scores"].values())
    (row,) = rows(tmp_path, Item("x", "", Recipe((there, nowhere)), there))
    assert_failed(row, "nowhere.wav")


def test_file_that_is_not_audio(pairs: Path, tmp_path: Path) -> None:
    for name in ("text.wav", "text.mp4"):
        (tmp_path / name).write_text("no audio at all" * 100)
        (row,) = rows(tmp_path, Item("x", "", tmp_path / name, pairs / "clean" / "a.wav"))
        assert_failed(row, name)


@pytest.mark.parametrize("mixture", ["silent", "noisy"])
def test_silent_reference_and_silent_estimate(pairs: Path, tmp_path: Path, mixture: str) -> None:
    audio_files.write_audio_file(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    files = {"silent": tmp_path / "silent.wav", "noisy": pairs / "noisy" / "a.wav"}
    other = "noisy" if mixture == "silent" else "silent"
    (row,) = rows(tmp_path, Item("x", "", files[mixture], files[other]))
    assert_failed(row, "estimate is silent" if mixture == "silent" else "reference is silent")


def test_lengths_that_differ_by_more_than_a_frame(pairs: Path, tmp_path: Path) -> None:
    clean = audio_files.read_audio_file(pairs / "clean" / "a.wav")
    for cut, status in ((600, "ok"), (700, "failed")):
        audio_files.write_audio_file(tmp_path / f"{cut}.wav", clean[:-cut])
        (row,) = rows(tmp_path, Item("x", "", pairs / "noisy" / "a.wav", tmp_path / f"{cut}.wav"))
        assert row["status"] == status, row["reason"]
    assert_failed(row, "reference 15300 samples", "estimate 16000")


def test_longer_reference_is_cut_where_the_layout_allows_it(pairs: Path, tmp_path: Path) -> None:
    audio_files.write_audio_file(tmp_path / "short.wav", audio_files.read_audio_file(pairs / "noisy" / "a.wav")[:-3000])
    for cut, status in ((True, "ok"), (False, "failed")):
        (row,) = rows(tmp_path, Item("x", "", tmp_path / "short.wav", pairs / "clean" / "a.wav", cut=cut))
        assert row["status"] == status


def test_too_short_for_pesq_is_reported_and_the_rest_is_scored(tmp_path: Path) -> None:
    mixture, clean = write_pair(tmp_path, "short", seconds=0.2)
    (row,) = rows(tmp_path, Item("x", "", mixture, clean))
    assert_failed(row, "too short")
    assert np.isfinite(row["scores"]["si_sdr"])
    assert np.isnan(row["scores"]["pesq"])


@pytest.mark.parametrize("sample_rate", [8000, 48000])
def test_stereo_at_any_rate_is_scored_like_mono_at_16_khz(tmp_path: Path, sample_rate: int) -> None:
    clean = speak(1.0, sample_rate).waveform
    noisy = clean + 0.05 * np.sin(np.arange(sample_rate) * 2 * np.pi * 600 / sample_rate).astype(np.float32)
    for name, waveform in (("noisy", noisy), ("clean", clean)):
        soundfile.write(tmp_path / f"{name}.wav", np.stack([waveform, waveform], 1), sample_rate)
    (row,) = rows(tmp_path, Item("x", "", tmp_path / "noisy.wav", tmp_path / "clean.wav"))
    assert row["status"] == "ok", row["reason"]
    assert row["scores"]["si_sdr"] == pytest.approx(si_sdr(clean - clean.mean(), noisy - noisy.mean()), abs=0.3)


def test_dead_pesq_process(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pesq_worker._exchange

    def die(process: subprocess.Popen[bytes], pair: np.ndarray) -> bytes:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return real(process, pair)

    monkeypatch.setattr(pesq_worker, "_exchange", die)
    (row,) = rows(tmp_path, recognise(pairs, LAYOUTS).items[0])
    assert_failed(row, "PESQ failed: its process died (SIGKILL)")
    assert np.isfinite(row["scores"]["stoi"])


def test_bug_in_a_library_is_a_row(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: np.ndarray, **__: bool) -> float:
        raise ZeroDivisionError("in a library")

    monkeypatch.setattr(metrics, "_stoi_window", broken)
    (row,) = rows(tmp_path, recognise(pairs, LAYOUTS).items[0])
    assert_failed(row, "ZeroDivisionError", "in a library")


PROGRAMS = {
    "raises": ("raise SystemExit('no weights found')", "no weights found"),
    "writes nothing": ("pass", "wrote nothing"),
    "writes text": ("open(sys.argv[2], 'w').write('text' * 99)", "cannot be read"),
    "cuts the end": (
        "import soundfile; s, r = soundfile.read(sys.argv[1]); soundfile.write(sys.argv[2], s[:-2000], r)",
        "lengths differ",
    ),
    "silences": (
        "import soundfile; s, r = soundfile.read(sys.argv[1]); soundfile.write(sys.argv[2], 0 * s, r)",
        "silent",
    ),
    "dies": ("import os; os.kill(os.getpid(), 11)", "exit code -11"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_other_program_that_misbehaves(pairs: Path, tmp_path: Path, name: str) -> None:
    program, words = PROGRAMS[name]
    (tmp_path / "program.py").write_text(f"import sys\n{program}\n")
    spec = f"other=external:{sys.executable} {tmp_path}/program.py {{wav}} {{out}}"
    mixed, other = rows(tmp_path / "out", recognise(pairs, LAYOUTS).items[0], spec)
    assert mixed["status"] == "ok"
    assert_failed(other, words)


def test_other_program_that_hangs_is_killed(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avse.evaluation import systems

    monkeypatch.setattr(systems, "PATIENCE_SECONDS", 0.5)
    (tmp_path / "sleep.py").write_text("import time\ntime.sleep(60)\n")
    spec = f"slow=external:{sys.executable} {tmp_path}/sleep.py {{wav}} {{out}}"
    began = time.monotonic()
    _, slow = rows(tmp_path / "out", recognise(pairs, LAYOUTS).items[0], spec)
    assert_failed(slow, "did not finish")
    assert time.monotonic() - began < 30


# Without a reference ------------------------------------------------------------------------------------------------


def test_dnsmos_where_there_is_no_reference(pairs: Path, tmp_path: Path) -> None:
    (row,) = rows(tmp_path, Item("x", "", pairs / "noisy" / "a.wav", None))
    assert row["status"] == "ok", row["reason"]
    assert 1 <= row["scores"]["dnsmos"] <= 5
    assert np.isnan(row["scores"]["pesq"])
    with pytest.raises(ValueError, match="silent"):
        dnsmos.overall(np.zeros(RATE))


def test_missing_dnsmos_is_reported_at_once(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsmos.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match="speechmos"):
        evaluate(Request(pairs, tmp_path / "out", with_dnsmos=True))


# Methods ------------------------------------------------------------------------------------------------------------


def test_methods_as_they_are_typed(tiny_model: Path) -> None:
    mixed, plain, blind, named, other = parse_systems(
        ["mixed", str(tiny_model), f"{tiny_model}:no-video", f"my net={tiny_model}", 'external:cp "{in}" {out}']
    )
    assert (mixed.label, mixed.model, mixed.command) == ("mixed", "", ())
    assert (plain.label, plain.use_video) == (str(tiny_model), True)
    assert (blind.label, blind.use_video, blind.sha256) == (f"{tiny_model}:no-video", False, plain.sha256)
    assert (named.label, named.model) == ("my net", str(tiny_model))
    assert (other.label, other.command) == ("external:cp", ("cp", "{in}", "{out}"))
    assert (plain.sha256_without_face, other.sha256) == (plain.sha256, None)
    with pytest.raises(UsageError):
        parse_systems(["external:"])
    assert isinstance(mixed, System)


def test_the_weights_that_listen_where_no_face_is_seen_are_named_too() -> None:
    shipped, blind = parse_systems(["avse", "avse:no-video"])[1:]
    listener = load_checkpoint(pretrained.find("avse-audio")).sha256
    assert {shipped.sha256_without_face, blind.sha256, blind.sha256_without_face} == {listener}
    assert shipped.sha256 == load_checkpoint(pretrained.find("avse")).sha256 != listener
