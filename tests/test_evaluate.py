"""``avse evaluate``: what is scored, what becomes of each thing that goes wrong, and going on where it stopped."""

from __future__ import annotations

import csv
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from recordings import si_sdr
from typer.testing import CliRunner

from avse import workers
from avse.data import sounds
from avse.data.field_layouts import LAYOUTS
from avse.data.layouts import Item, Recipe, recognise
from avse.data.synthetic import street_noise
from avse.data.synthetic_speech import speak
from avse.errors import MissingError, UsageError
from avse.evaluation import dnsmos, metrics, pesq_process
from avse.evaluation.evaluate import Request, evaluate
from avse.evaluation.methods import Method, parse_methods
from avse.evaluation.scoring import Evaluator, Setup, Task
from avse_cli.main import app

RATE = 16000
KEYS = {
    "item", "subset", "method", "status", "reason", "seconds", "elapsed_seconds", "scores", "mixture", "reference",
    "estimate", "picture", "stage_seconds",
}  # fmt: skip
COPY = f'external:{sys.executable} -c "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])" {{wav}} {{out}}'


def avse(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def rows_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


def write_pair(folder: Path, name: str, seed: int = 0, seconds: float = 1.0) -> tuple[Path, Path]:
    clean = speak(seconds, seed=seed).waveform
    noisy = clean + 0.5 * street_noise(seconds, seed + 1)
    paths = folder / "noisy" / f"{name}.wav", folder / "clean" / f"{name}.wav"
    for path, sound in zip(paths, (noisy, clean), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, RATE)
    return paths


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "data"
    for seed, name in enumerate("abc"):
        write_pair(folder, name, seed)
    return folder


@pytest.fixture(scope="module")
def talking(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of one talking head, apart from its mixture; the target is what the film says."""
    folder = tmp_path_factory.mktemp("talking") / "data"
    clean = sounds.read(clip)
    for kind, sound in (("mix", clean + 0.5 * street_noise(1.28)[: len(clean)]), ("s1", clean)):
        sounds.write(folder / kind / "x.wav", sound)
    (folder / "video").mkdir()
    shutil.copy(clip, folder / "video" / "x.mp4")
    sounds.put_under(clip, folder / "mix" / "x.wav", folder / "video" / "x.mkv")
    (folder / "video" / "x.mp4").unlink()
    return folder


# A run as it is typed -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(pairs: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    output = tmp_path_factory.mktemp("run") / "out"
    return output, avse(pairs, "-o", output, "-m", f"tiny={tiny_model}", "-m", f"copy={COPY}", "-j", "2")


def test_says_what_it_took_the_folder_for(run: tuple[Path, Any], pairs: Path) -> None:
    _, shown = run
    assert shown.exit_code == 0, shown.output
    assert shown.stderr == f"{pairs}: layout pairs, 3 items; 3 without a picture: the sound alone must do\n"
    assert "SI-SDR dB" in shown.stdout
    assert shown.stdout.splitlines()[-1].endswith("report.html")


def test_row_for_each_item_and_method(run: tuple[Path, Any], pairs: Path) -> None:
    rows = rows_of(run[0])
    assert {(row["item"], row["method"]) for row in rows} == {(i, m) for i in "abc" for m in ("mixed", "tiny", "copy")}
    for row in rows:
        assert set(row) == KEYS
        assert (row["status"], row["reason"], row["picture"], row["seconds"]) == ("ok", None, None, 1.0)
        assert set(row["scores"]) == {"pesq", "stoi", "estoi", "si_sdr"}
        clean, estimate = sounds.read(Path(row["reference"])), sounds.read(Path(row["estimate"]))
        centred = [sound - sound.mean() for sound in (clean, estimate)]
        assert row["scores"]["si_sdr"] == pytest.approx(si_sdr(*centred), abs=0.01)
    mixed = {row["item"]: row["scores"] for row in rows if row["method"] == "mixed"}
    copied = {row["item"]: row["scores"] for row in rows if row["method"] == "copy"}
    assert all(mixed[name] == pytest.approx(copied[name], abs=2e-3) for name in mixed)


def test_table_and_summary(run: tuple[Path, Any], tiny_model: Path) -> None:
    with (run[0] / "scores.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["method"] for row in table[:3]] == ["mixed", "tiny", "copy"]
    assert table[0]["si_sdr_improvement"] == ""
    gain = float(table[1]["si_sdr"]) - float(table[0]["si_sdr"])
    assert float(table[1]["si_sdr_improvement"]) == pytest.approx(gain, abs=2e-4)
    summary = json.loads((run[0] / "summary.json").read_text())
    assert {"protocol", "date", "seed", "versions", "machine", "folder", "layout", "time"} <= set(summary)
    assert {"avse", "python", "torch", "pesq", "pystoi"} <= set(summary["versions"])
    assert len(summary["methods"]["tiny"]["sha256"]) == 64
    tiny = next(line for line in summary["scores"] if line["method"] == "tiny")
    assert (tiny["n"], tiny["failed"], tiny["without_picture"]) == (3, 0, 3)
    values = [float(row["pesq"]) for row in table if row["method"] == "tiny"]
    mean = tiny["mean"]["pesq"]
    assert mean["mean"] == pytest.approx(np.mean(values), abs=1e-3)
    assert min(values) - 1e-3 <= mean["low"] <= mean["mean"] <= mean["high"] <= max(values) + 1e-3
    assert tiny["improvement"]["si_sdr"]["mean"] == pytest.approx(
        np.mean([float(row["si_sdr_improvement"]) for row in table if row["method"] == "tiny"]), abs=1e-3
    )
    shares = [value for name, value in summary["time"].items() if name.endswith("_share")]
    assert sum(shares) == pytest.approx(1.0)
    assert (run[0] / "report.html").stat().st_size > 10_000


def test_goes_on_where_it_stopped_and_adds_methods(
    run: tuple[Path, Any], pairs: Path, tiny_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(run[0], output)
    lines = (output / "results.jsonl").read_text().splitlines(keepends=True)
    failed = json.dumps(json.loads(lines[3]) | {"status": "failed", "reason": "the disk was full"}) + "\n"
    (output / "results.jsonl").write_text("".join([*lines[:3], failed, *lines[4:8]]) + lines[8][:40])
    methods = [word for spec in (f"tiny={tiny_model}", f"copy={COPY}", f"again={COPY}") for word in ("-m", spec)]
    shown = avse(pairs, "-o", output, *methods, "-j", "1", "--no-report", "--json")
    assert shown.exit_code == 0, shown.output
    after = rows_of(output)
    assert [json.dumps(row) for row in after[:7]] == [line.strip() for line in [*lines[:3], *lines[4:8]]]
    assert len(after) == 12
    assert json.loads(shown.stdout)["num_items"] == 3
    assert [line["n"] for line in json.loads(shown.stdout)["scores"]] == [3, 3, 3, 3]


def test_other_folder_or_weights_need_force(
    run: tuple[Path, Any], pairs: Path, see_through: Path, tmp_path: Path
) -> None:
    before = (run[0] / "results.jsonl").read_bytes()
    other = avse(pairs, "-o", run[0], "-m", f"tiny={see_through}")
    assert (other.exit_code, other.stdout) == (2, "")
    assert "--force" in other.stderr
    assert (run[0] / "results.jsonl").read_bytes() == before
    output = tmp_path / "out"
    shutil.copytree(run[0], output)
    write_pair(tmp_path / "new", "z")
    forced = avse(tmp_path / "new", "-o", output, "-m", "mixed", "--force", "-q", "--no-report")
    assert (forced.exit_code, forced.output) == (0, "")
    assert [row["item"] for row in rows_of(output)] == ["z"]
    assert not (output / "estimates").exists()


def test_folder_of_something_else_is_never_written_to(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert avse(pairs, "-o", tmp_path, "--force").exit_code == 2
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_two_runs_do_not_share_a_folder(pairs: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "results.jsonl").touch()
    with (tmp_path / "results.jsonl").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        shown = avse(pairs, "-o", tmp_path)
    assert shown.exit_code == 2
    assert "Another avse evaluate" in shown.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["-m", "unknown"], 2, "unknown"),
        (["-m", "external:denoise"], 2, "{out}"),
        (["-m", "external:no-such-program {wav} {out}"], 3, "no-such-program"),
        (["-m", "x=avse", "-m", "x=avse:no-video"], 2, "'x'"),
        (["--layout", "zip"], 2, "zip"),
        (["--subset", "zip"], 2, "zip"),
        (["-m", "avse", "--device", "toaster"], 2, "toaster"),
    ],
)
def test_wrong_usage(pairs: Path, tmp_path: Path, options: list[str], code: int, words: str) -> None:
    shown = avse(pairs, "-o", tmp_path / "out", *options, "-q")
    assert (shown.exit_code, shown.stdout) == (code, "")
    assert words in shown.stderr
    assert not (tmp_path / "out").exists()


# Items in one process -----------------------------------------------------------------------------------------------


def rows(output: Path, item: Item, *specs: str, **settings: Any) -> list[dict[str, Any]]:
    """What one item comes to."""
    methods = tuple(parse_methods(specs))
    options = {"device": "cpu", "num_jobs": 2, "keep_estimates": True, "with_dnsmos": False} | settings
    evaluator = Evaluator(Setup(output, methods, **options))
    return evaluator(Task(item, tuple(method.label for method in methods)))


def test_film_is_used_unless_it_is_to_be_ignored(talking: Path, see_through: Path, tmp_path: Path, monkeypatch) -> None:
    looked: list[bool] = []
    library = importlib.import_module("avse.enhance")
    real = library.enhance
    monkeypatch.setattr(
        library, "enhance", lambda *files, **options: looked.append(real(*files, **options).seen_share > 0.9)
    )
    item = recognise(talking, LAYOUTS).items[0]
    assert item.is_dubbed
    mixed, seen, unseen = rows(tmp_path, item, f"seen={see_through}", f"unseen={see_through}:no-video")
    assert looked == [True, False]
    assert mixed["picture"] == str(talking / "video" / "x.mkv")
    for row in (seen, unseen):
        assert row["scores"] == pytest.approx(mixed["scores"], abs=0.02)
        assert row["elapsed_seconds"] > 0


def test_film_apart_from_the_mixture_is_joined(clip: Path, see_through: Path, tmp_path: Path, talking: Path) -> None:
    """The film's own sound, which is the target, must not be what is enhanced."""
    item = Item("x", "", talking / "mix" / "x.wav", talking / "s1" / "x.wav", clip)
    mixed, seen = rows(tmp_path, item, f"seen={see_through}")
    assert seen["status"] == "ok", seen["reason"]
    assert seen["scores"] == pytest.approx(mixed["scores"], abs=0.02)
    assert mixed["scores"]["si_sdr"] < 20


def test_mixture_in_no_file_is_made_and_kept_for_listening(pairs: Path, tmp_path: Path) -> None:
    sources = (pairs / "clean" / "a.wav", pairs / "clean" / "b.wav")
    (row,) = rows(tmp_path, Item("a/b", "test", Recipe(sources), sources[0], cut=True))
    assert row["status"] == "ok", row["reason"]
    assert row["mixture"] == row["estimate"] == str(tmp_path / "mixtures/test/a_b.wav")
    assert sounds.read(Path(row["mixture"])) == pytest.approx(
        (sounds.read(sources[0]) + sounds.read(sources[1])) / 2, abs=1e-4
    )


def test_estimates_are_kept_only_where_they_are_wanted(pairs: Path, tmp_path: Path) -> None:
    item = recognise(pairs, LAYOUTS).items[0]
    _, kept = rows(tmp_path / "a", item, f"copy={COPY}")
    _, gone = rows(tmp_path / "b", item, f"copy={COPY}", keep_estimates=False)
    assert kept["estimate"] == str(tmp_path / "a/estimates/copy/a.wav")
    assert gone["estimate"] is None
    assert gone["scores"] == kept["scores"]
    assert not (tmp_path / "b").exists()


# Everything that goes wrong is a row with its reason ----------------------------------------------------------------


def assert_failed(row: dict[str, Any], *words: str) -> None:
    assert (row["status"], set(row)) == ("failed", KEYS)
    for word in words:
        assert word in row["reason"]


def test_missing_files(pairs: Path, tmp_path: Path) -> None:
    there, nowhere = pairs / "noisy" / "a.wav", tmp_path / "nowhere.wav"
    (row,) = rows(tmp_path, Item("x", "", there, nowhere))
    assert_failed(row, "There is no file", "nowhere.wav")
    (row,) = rows(tmp_path, Item("x", "", nowhere, there))
    assert_failed(row, "nowhere.wav")
    assert all(np.isnan(value) for value in row["scores"].values())
    (row,) = rows(tmp_path, Item("x", "", Recipe((there, nowhere)), there))
    assert_failed(row, "nowhere.wav")


def test_file_that_is_no_sound(pairs: Path, tmp_path: Path) -> None:
    for name in ("text.wav", "text.mp4"):
        (tmp_path / name).write_text("no sound at all" * 100)
        (row,) = rows(tmp_path, Item("x", "", tmp_path / name, pairs / "clean" / "a.wav"))
        assert_failed(row, name)


@pytest.mark.parametrize("mixture", ["silent", "noisy"])
def test_silent_reference_and_silent_estimate(pairs: Path, tmp_path: Path, mixture: str) -> None:
    sounds.write(tmp_path / "silent.wav", np.zeros(RATE, np.float32))
    files = {"silent": tmp_path / "silent.wav", "noisy": pairs / "noisy" / "a.wav"}
    other = "noisy" if mixture == "silent" else "silent"
    (row,) = rows(tmp_path, Item("x", "", files[mixture], files[other]))
    assert_failed(row, "estimate is silent" if mixture == "silent" else "reference is silent")


def test_lengths_that_differ_by_more_than_a_frame(pairs: Path, tmp_path: Path) -> None:
    clean = sounds.read(pairs / "clean" / "a.wav")
    for cut, status in ((600, "ok"), (700, "failed")):
        sounds.write(tmp_path / f"{cut}.wav", clean[:-cut])
        (row,) = rows(tmp_path, Item("x", "", pairs / "noisy" / "a.wav", tmp_path / f"{cut}.wav"))
        assert row["status"] == status, row["reason"]
    assert_failed(row, "reference 15300 samples", "estimate 16000")


def test_reference_that_goes_on_where_the_layout_says_so(pairs: Path, tmp_path: Path) -> None:
    sounds.write(tmp_path / "short.wav", sounds.read(pairs / "noisy" / "a.wav")[:-3000])
    for cut, status in ((True, "ok"), (False, "failed")):
        (row,) = rows(tmp_path, Item("x", "", tmp_path / "short.wav", pairs / "clean" / "a.wav", cut=cut))
        assert row["status"] == status


def test_too_short_for_pesq_is_said_and_the_rest_is_scored(tmp_path: Path) -> None:
    mixture, clean = write_pair(tmp_path, "short", seconds=0.2)
    (row,) = rows(tmp_path, Item("x", "", mixture, clean))
    assert_failed(row, "too short")
    assert np.isfinite(row["scores"]["si_sdr"])
    assert np.isnan(row["scores"]["pesq"])


@pytest.mark.parametrize("sample_rate", [8000, 48000])
def test_stereo_at_any_rate_is_scored_like_mono_at_16_khz(tmp_path: Path, sample_rate: int) -> None:
    clean = speak(1.0, sample_rate).waveform
    noisy = clean + 0.05 * np.sin(np.arange(sample_rate) * 2 * np.pi * 600 / sample_rate).astype(np.float32)
    for name, sound in (("noisy", noisy), ("clean", clean)):
        soundfile.write(tmp_path / f"{name}.wav", np.stack([sound, sound], 1), sample_rate)
    (row,) = rows(tmp_path, Item("x", "", tmp_path / "noisy.wav", tmp_path / "clean.wav"))
    assert row["status"] == "ok", row["reason"]
    assert row["scores"]["si_sdr"] == pytest.approx(si_sdr(clean - clean.mean(), noisy - noisy.mean()), abs=0.3)


def test_dead_pesq_process(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pesq_process._exchange

    def die(process: subprocess.Popen[bytes], pair: np.ndarray) -> bytes:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return real(process, pair)

    monkeypatch.setattr(pesq_process, "_exchange", die)
    (row,) = rows(tmp_path, recognise(pairs, LAYOUTS).items[0])
    assert_failed(row, "PESQ failed: its process died (SIGKILL)")
    assert np.isfinite(row["scores"]["stoi"])


def test_bug_in_a_library_is_a_row(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: np.ndarray) -> float:
        raise ZeroDivisionError("in a library")

    monkeypatch.setitem(metrics._MEASURES, "stoi", broken)
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
    from avse.evaluation import methods

    monkeypatch.setattr(methods, "PATIENCE_SECONDS", 0.5)
    (tmp_path / "sleep.py").write_text("import time\ntime.sleep(60)\n")
    spec = f"slow=external:{sys.executable} {tmp_path}/sleep.py {{wav}} {{out}}"
    began = time.monotonic()
    _, slow = rows(tmp_path / "out", recognise(pairs, LAYOUTS).items[0], spec)
    assert_failed(slow, "did not end")
    assert time.monotonic() - began < 30


def test_killed_worker_costs_its_item_and_no_other(pairs: Path, tmp_path: Path) -> None:
    program = tmp_path / "killer.py"
    program.write_text(
        "import os, shutil, sys\n"
        f"again = [{str(pairs / 'noisy' / 'b.wav')!r}]\n"
        "import soundfile, numpy\n"
        "given, hated = soundfile.read(sys.argv[1])[0], soundfile.read(again[0])[0]\n"
        "if numpy.array_equal(given, hated): os.kill(os.getppid(), 9)\n"
        "shutil.copy(sys.argv[1], sys.argv[2])\n"
    )
    spec = f"killer=external:{sys.executable} {program} {{wav}} {{out}}"
    found = evaluate(Request(pairs, tmp_path / "out", [spec], device="cpu", with_report=False), num_jobs=1)
    failed = {(row["item"], row["method"]): row["reason"] for row in found.rows if row["status"] == "failed"}
    assert set(failed) == {("b", "mixed"), ("b", "killer")}
    assert set(failed.values()) == {"its process died (SIGKILL)"}
    assert found.num_failed == 2
    assert [line["failed"] for line in found.summary["scores"]] == [1, 1]


def test_failures_are_counted_and_told(tmp_path: Path) -> None:
    write_pair(tmp_path / "data", "good")
    write_pair(tmp_path / "data", "bad")
    (tmp_path / "data" / "clean" / "bad.wav").unlink()
    shown = avse(tmp_path / "data", "-o", tmp_path / "out", "-m", "mixed", "-j", "1")
    assert shown.exit_code == 1
    assert "2 (1 failed)" in shown.stdout
    assert "avse: mixed on bad: There is no file" in shown.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["num_failed"], summary["scores"][0]["mean"]["pesq"]["n"]) == (1, 1)
    bad = next(row for row in rows_of(tmp_path / "out") if row["item"] == "bad")
    assert bad["scores"] == {"pesq": None, "stoi": None, "estoi": None, "si_sdr": None}


def test_interruption_keeps_what_is_done(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import shutil, sys, time\nshutil.copy(sys.argv[1], sys.argv[2])\ntime.sleep(0.5)\n"
    )
    data = tmp_path / "data"
    for index in range(30):
        for kind in ("noisy", "clean"):
            (data / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(pairs / kind / "a.wav", data / kind / f"{index}.wav")
    spec = f"slow=external:{sys.executable} {tmp_path}/slow.py {{wav}} {{out}}"
    command = [Path(sys.executable).with_name("avse"), "evaluate", data, "-o", tmp_path / "out", "-m", spec, "-j", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        patience = time.monotonic() + 90
        results = tmp_path / "out" / "results.jsonl"
        while not results.exists() or results.read_text().count("\n") < 4:
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("avse: interrupted")
    done = rows_of(tmp_path / "out")
    assert 4 <= len(done) < 60
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name]


# Without a reference ------------------------------------------------------------------------------------------------


def test_dnsmos_where_there_is_no_reference(pairs: Path, tmp_path: Path) -> None:
    (row,) = rows(tmp_path, Item("x", "", pairs / "noisy" / "a.wav", None))
    assert row["status"] == "ok", row["reason"]
    assert 1 <= row["scores"]["dnsmos"] <= 5
    assert np.isnan(row["scores"]["pesq"])
    with pytest.raises(ValueError, match="silent"):
        dnsmos.overall(np.zeros(RATE))


def test_dnsmos_that_is_not_installed_is_told_at_once(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dnsmos.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingError, match="speechmos"):
        evaluate(Request(pairs, tmp_path / "out", with_dnsmos=True))


# Methods ------------------------------------------------------------------------------------------------------------


def test_methods_as_they_are_typed(tiny_model: Path) -> None:
    mixed, plain, blind, named, other = parse_methods(
        ["mixed", str(tiny_model), f"{tiny_model}:no-video", f"my net={tiny_model}", 'external:cp "{in}" {out}']
    )
    assert (mixed.label, mixed.model, mixed.command) == ("mixed", "", ())
    assert (plain.label, plain.use_video) == (str(tiny_model), True)
    assert (blind.label, blind.use_video, blind.sha256) == (f"{tiny_model}:no-video", False, plain.sha256)
    assert (named.label, named.model) == ("my net", str(tiny_model))
    assert (other.label, other.command) == ("external:cp", ("cp", "{in}", "{out}"))
    with pytest.raises(UsageError):
        parse_methods(["external:"])
    assert isinstance(mixed, Method)


def test_threads_of_workers_are_bounded(pairs: Path, tmp_path: Path) -> None:
    program = tmp_path / "threads.py"
    program.write_text("import os, shutil, sys\nshutil.copy(sys.argv[1], sys.argv[2])\n"
                       "open(sys.argv[3], 'w').write(os.environ['OMP_NUM_THREADS'])\n")  # fmt: skip
    spec = f"env=external:{sys.executable} {program} {{wav}} {{out}} {tmp_path}/threads"
    evaluate(Request(pairs, tmp_path / "out", [spec], limit=1, device="cpu", with_report=False), num_jobs=1)
    assert (tmp_path / "threads").read_text() == str(workers.threads_for(1))
