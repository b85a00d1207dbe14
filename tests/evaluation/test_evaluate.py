"""``avse evaluate`` as it is typed: output, resuming, and a killed worker."""

from __future__ import annotations

import csv
import hashlib
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
from evaluating import COPY, KEYS, write_pair, write_pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_values import is_fine_or_two_lines, json_values
from recordings import si_sdr
from typer.testing import CliRunner

from avse.evaluation import results
from avse.evaluation.evaluate import Request, evaluate
from avse.evaluation.results import OTHERS, REQUIRED
from avse.evaluation.statistics import ScoreTable
from avse.io import atomic, audio_files
from avse.parallel import local
from avse.reports.evaluation import evaluation_report
from avse_cli.main import app

pytestmark = pytest.mark.usefixtures("one_process")


def avse(*arguments: str | Path) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def rows_of(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "data")


# A run as it is typed -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(pairs: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, one_process: None) -> tuple[Path, Any]:
    output = tmp_path_factory.mktemp("run") / "out"
    return output, avse(pairs, "-o", output, "-m", f"tiny={tiny_model}", "-m", f"copy={COPY}", "-j", "2")


def test_detected_layout_is_reported(run: tuple[Path, Any], pairs: Path) -> None:
    _, shown = run
    assert shown.exit_code == 0, shown.output
    assert shown.stderr == f"{pairs}: layout pairs, 3 items; 3 without video: audio alone is used\n"
    assert "SI-SDR dB" in shown.stdout
    assert shown.stdout.splitlines()[-1].endswith("report.html")


def test_row_for_each_item_and_method(run: tuple[Path, Any], pairs: Path) -> None:
    rows = rows_of(run[0])
    assert {(row["item"], row["method"]) for row in rows} == {(i, m) for i in "abc" for m in ("mixed", "tiny", "copy")}
    for row in rows:
        assert set(row) == {*KEYS, "fingerprint"}
        assert (row["status"], row["reason"], row["video"], row["seconds"]) == ("ok", None, None, 1.0)
        assert set(row["scores"]) == {"pesq", "stoi", "estoi", "si_sdr"}
        clean, estimate = (
            audio_files.read_audio_file(Path(row["reference"])),
            audio_files.read_audio_file(Path(row["estimate"])),
        )
        centred = [waveform - waveform.mean() for waveform in (clean, estimate)]
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
    weights = summary["methods"]["tiny"]
    assert weights["sha256"] == weights["sha256_without_face"] == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    tiny = next(line for line in summary["scores"] if line["method"] == "tiny")
    assert (tiny["n"], tiny["failed"], tiny["without_video"]) == (3, 0, 3)
    values = [float(row["pesq"]) for row in table if row["method"] == "tiny"]
    mean = tiny["mean"]["pesq"]
    assert mean["mean"] == pytest.approx(np.mean(values), abs=1e-3)
    assert min(values) - 1e-3 <= mean["low"] <= mean["mean"] <= mean["high"] <= max(values) + 1e-3
    assert tiny["improvement"]["si_sdr"]["mean"] == pytest.approx(
        np.mean([float(row["si_sdr_improvement"]) for row in table if row["method"] == "tiny"]), abs=1e-3
    )
    shares = [value for name, value in summary["time"].items() if name.endswith("_share")]
    assert sum(shares) == pytest.approx(1.0)
    worse = [float(row["si_sdr_improvement"]) < -0.5 for row in table if row["method"] == "tiny"]
    assert tiny["made_worse"] == pytest.approx(np.mean(worse))
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


def test_methods_scored_before_are_shown_where_they_are_named_again(
    run: tuple[Path, Any], pairs: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    shutil.copytree(run[0], output)
    shown = []
    for names in (["again"], ["copy", "again"]):
        methods = [word for name in names for word in ("-m", f"{name}={COPY}")]
        assert avse(pairs, "-o", output, *methods, "-j", "1", "-q").exit_code == 0
        with (output / "scores.csv").open(newline="") as file:
            shown.append({row["method"] for row in csv.DictReader(file)})
        assert len(rows_of(output)) == 12
    assert shown == [{"mixed", "again"}, {"mixed", "copy", "again"}]
    assert "name earlier ones again" in " ".join(avse("--help").stdout.split())


def test_items_that_have_changed_are_scored_again(tmp_path: Path) -> None:
    data, output = write_pairs(tmp_path / "data"), tmp_path / "out"
    command = [data, "-o", output, "-m", f"copy={COPY}", "-j", "1", "--no-report"]
    assert avse(*command).exit_code == 0
    former = {(row["item"], row["method"]): row["scores"] for row in rows_of(output)}
    write_pair(data, "a", seed=9)
    shown = avse(*command)
    assert (shown.exit_code, shown.stderr.splitlines()[1:]) == (0, ["1 item has changed and was scored again"])
    now = {(row["item"], row["method"]): row["scores"] for row in rows_of(output)}
    assert {key for key, scores in now.items() if scores != former[key]} == {("a", "mixed"), ("a", "copy")}
    assert len(rows_of(output)) == 6
    mixture, estimate = (
        audio_files.read_audio_file(folder / "a.wav") for folder in (data / "noisy", output / "estimates/copy")
    )
    assert estimate == pytest.approx(mixture, abs=1e-4)


def test_rows_of_other_systems_stay_until_these_are_named_again(tmp_path: Path) -> None:
    data, output = write_pairs(tmp_path / "data"), tmp_path / "out"
    options = ["-o", output, "-j", "1", "--no-report"]
    assert avse(data, *options, "-m", f"slow={COPY}").exit_code == 0
    slow = [row for row in rows_of(output) if row["method"] == "slow"]
    write_pair(data, "a", seed=9)
    assert avse(data, *options, "-m", "mixed").exit_code == 0
    assert [row for row in rows_of(output) if row["method"] == "slow"] == slow
    again = avse(data, *options, "-m", f"slow={COPY}")
    assert "1 item has changed" in again.stderr
    assert [row["item"] for row in rows_of(output) if row["method"] == "slow" and row not in slow] == ["a"]


def test_items_are_found_once(run: tuple[Path, Any], pairs: Path, tmp_path: Path, monkeypatch: Any) -> None:
    shutil.copytree(run[0], tmp_path / "out")
    library, searched = importlib.import_module("avse.evaluation.evaluate"), list[Path]()
    real = library.recognise
    monkeypatch.setattr(library, "recognise", lambda folder, *rest: searched.append(folder) or real(folder, *rest))
    assert avse(pairs, "-o", tmp_path / "out", "-m", f"copy={COPY}", "--no-report").exit_code == 0
    assert searched == [pairs]


def test_rows_of_former_versions_stay(run: tuple[Path, Any], pairs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    shutil.copytree(run[0], output)
    former = [{name: row[name] for name in row if name != "fingerprint"} for row in rows_of(output)]
    (output / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in former))
    shown = avse(pairs, "-o", output, "-m", f"copy={COPY}", "-j", "1", "--no-report")
    assert (shown.exit_code, len(shown.stderr.splitlines())) == (0, 1)
    assert rows_of(output) == former


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


@pytest.mark.parametrize("option", [[], ["--force"]])
def test_mixtures_in_a_folder_of_results_are_not_cleared(
    run: tuple[Path, Any], pairs: Path, tmp_path: Path, option: list[str]
) -> None:
    output = tmp_path / "out"
    shutil.copytree(run[0], output)
    shutil.copytree(pairs, output / "mixtures")
    shown = avse(output / "mixtures", "-o", output, "-m", "mixed", *option)
    assert shown.exit_code == 2
    assert "Choose another output folder." in shown.stderr
    assert len(list((output / "mixtures").rglob("*.wav"))) == len(list(pairs.rglob("*.wav"))) > 0


def test_folder_of_something_else_is_never_written_to(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert avse(pairs, "-o", tmp_path, "-m", "mixed", "--force").exit_code == 2
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_two_runs_do_not_share_a_folder(pairs: Path, tmp_path: Path) -> None:
    with atomic.lock_folder(tmp_path):
        shown = avse(pairs, "-o", tmp_path, "-m", "mixed")
    assert shown.exit_code == 2
    assert f"already in use: process {os.getpid()}" in shown.stderr
    assert os.listdir(tmp_path) == [atomic.LOCK]


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["-m", "unknown"], 2, "unknown"),
        (["-m", "external:denoise"], 2, "{out}"),
        (["-m", "external:no-such-program {wav} {out}"], 3, "no-such-program"),
        (["-m", "x=TINY", "-m", "x=TINY:no-video"], 2, "'x'"),
        (["--layout", "zip"], 2, "zip"),
        (["--subset", "zip"], 2, "zip"),
        (["-m", "TINY", "--device", "toaster"], 2, "toaster"),
    ],
)
def test_wrong_usage(pairs: Path, tiny_model: Path, tmp_path: Path, options: list[str], code: int, words: str) -> None:
    named = [option.replace("TINY", str(tiny_model)) for option in options]
    shown = avse(pairs, "-o", tmp_path / "out", *named, "-q")
    assert (shown.exit_code, shown.stdout) == (code, "")
    assert words in shown.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("worker_processes")
def test_killed_worker_costs_its_item_and_no_other(pairs: Path, tmp_path: Path) -> None:
    program = tmp_path / "killer.py"
    program.write_text(
        "import os, shutil, sys\n"
        f"given, hated = open(sys.argv[1], 'rb').read(), open({str(pairs / 'noisy' / 'b.wav')!r}, 'rb').read()\n"
        "if given == hated: os.kill(os.getppid(), 9)\n"
        "shutil.copy(sys.argv[1], sys.argv[2])\n"
    )
    spec = f"killer=external:{sys.executable} {program} {{wav}} {{out}}"
    found = evaluate(Request(pairs, tmp_path / "out", [spec], device="cpu"), num_jobs=1)
    failed = {(row["item"], row["method"]): row["reason"] for row in found.rows if row["status"] == "failed"}
    assert set(failed) == {("b", "mixed"), ("b", "killer")}
    assert set(failed.values()) == {"its worker died 2 times (SIGKILL)"}
    assert found.num_failed == 2
    assert [line["failed"] for line in found.summary["scores"]] == [1, 1]


def test_failures_are_counted_and_reported(tmp_path: Path) -> None:
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
        patience = time.monotonic() + 240
        results = tmp_path / "out" / "results.jsonl"
        while not results.exists() or results.read_text().count("\n") < 4:
            assert process.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert errors.splitlines()[-1].startswith("avse: interrupted")
    done = rows_of(tmp_path / "out")
    assert 4 <= len(done) < 60
    assert not [path for path in (tmp_path / "out").rglob("*") if ".part" in path.name]


@pytest.mark.usefixtures("worker_processes")
def test_threads_of_workers_are_bounded(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    program = tmp_path / "threads.py"
    program.write_text("import os, shutil, sys\nshutil.copy(sys.argv[1], sys.argv[2])\n"
                       "open(sys.argv[3], 'w').write(os.environ['OMP_NUM_THREADS'])\n")  # fmt: skip
    spec = f"env=external:{sys.executable} {program} {{wav}} {{out}} {tmp_path}/threads"
    evaluate(Request(pairs, tmp_path / "out", [spec], limit=1, device="cpu"), num_jobs=1)
    assert (tmp_path / "threads").read_text() == str(local.threads_for(1))


def test_items_made_worse_are_counted() -> None:
    gains = {"a": -0.6, "b": -0.4, "c": 3.0, "d": -9.0}
    rows = [{"item": item, "method": "mixed", "scores": {"si_sdr": 1.0}} for item in gains]
    rows += [{"item": item, "method": "own", "scores": {"si_sdr": 1.0 + gain}} for item, gain in gains.items()]
    score_table = ScoreTable(rows)
    assert score_table.worse_share("own") == 0.5
    assert np.isnan(score_table.worse_share("mixed"))
    assert np.isnan(ScoreTable([row for row in rows if row["method"] == "own"]).worse_share("own"))


# What an earlier run left -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"methods": [1]}', "[" * 100_000, "\\xff", '{"methods": NaN}'])
def test_damaged_settings_are_named_and_nothing_is_overwritten(pairs: Path, text: str, tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").touch()
    (tmp_path / "settings.json").write_text(text)
    shown = avse(pairs, "-o", tmp_path, "-m", "mixed", "-j", "1")
    assert (shown.exit_code, len(shown.stderr.splitlines()[-2:])) == (2, 2)
    assert "settings.json cannot be read" in shown.stderr
    assert (tmp_path / "settings.json").read_text() == text


@given(change=st.dictionaries(st.sampled_from([*REQUIRED, *OTHERS]), json_values, max_size=3) | json_values)
@settings(max_examples=100)
def test_any_row_makes_tables_or_is_refused(run: tuple[Path, Any], change: Any, tmp_path: Path) -> None:
    row = rows_of(run[0])[0]
    row = row | change if isinstance(change, dict) else change
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(row) + "\n")
    before = path.read_bytes()

    def go_on() -> None:
        with results.opened(tmp_path, {"methods": {}}, force=False, fingerprints={}) as (kept, *_):
            results.write_table(tmp_path / "scores.csv", kept)
            evaluation_report(kept, {}, tmp_path / "report.html")

    assert is_fine_or_two_lines(go_on)
    assert path.read_bytes() in (before, b"") or json.loads(path.read_bytes()) == row


def test_cells_that_spreadsheets_compute_are_quoted(run: tuple[Path, Any], tmp_path: Path) -> None:
    row = rows_of(run[0])[0]
    names = ["=1+1", "@SUM(1)", "+a", "-b", "\t=1", os.fsdecode(b"caf\xe9"), "plain"]
    results.write_table(tmp_path / "scores.csv", [row | {"item": name, "scores": {"si_sdr": -3.0}} for name in names])
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["item"] for row in rows] == ["'=1+1", "'@SUM(1)", "'+a", "'-b", "'\t=1", r"caf\udce9", "plain"]
    assert {row["si_sdr"] for row in rows} == {"-3.0000"}


@pytest.mark.parametrize("name", ["estimates", "scores.csv", "results.jsonl", "settings.json", "report.html"])
def test_links_in_the_output_are_not_followed(pairs: Path, name: str, tmp_path: Path) -> None:
    output, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    output.mkdir()
    (output / "results.jsonl").touch()
    (output / name).unlink(missing_ok=True)
    elsewhere.write_text("precious")
    (output / name).symlink_to(elsewhere)
    for force in ([], ["--force"]):
        shown = avse(pairs, "-o", output, "-m", "mixed", "-j", "1", *force)
        assert (shown.exit_code, "symbolic link" in shown.stderr) == (2, True)
    assert elsewhere.read_text() == "precious"
