"""The paper's table: rows by list and method, paired differences with a known truth, recipes, resuming, errors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluating import rows
from small_world import stirred, tiny
from table3 import PAPER, difference, main, over_seeds, paper_differences, paper_table, scores_table, spread

from avse.data.synthetic.clips import street_noise
from avse.evaluation.corpora.corpus import Item
from avse.evaluation.statistics import ScoreTable
from avse.faces import face_tracker
from avse.io import audio_files, remux
from avse.weights.checkpoint import save_checkpoint

NETS = {"AO": "none", "CWC": "cwc", "MMTM global": "mmtm-global", "MMTM time": "mmtm"}
LISTS = ("noisy", "three-talkers-paper")
pytestmark = pytest.mark.usefixtures("one_process")


@pytest.fixture(scope="module")
def lists(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two lists of two mixtures of a talking head with noise."""
    folder = tmp_path_factory.mktemp("lists")
    clean = audio_files.read_audio_file(clip)
    for number, name in enumerate(LISTS):
        for seed, item in enumerate(("a", "b")):
            noise = street_noise(1.28, 2 * number + seed)[: len(clean)]
            audio_files.write_audio_file(folder / "audio" / f"{item}.wav", clean + 0.3 * (seed + 1) * noise)
            remux.mux_audio_under_video(clip, folder / "audio" / f"{item}.wav", folder / name / "mix" / f"{item}.mkv")
            audio_files.write_audio_file(folder / name / "s1" / f"{item}.wav", clean)
    for path in (folder / "audio").iterdir():
        path.unlink()
    (folder / "audio").rmdir()
    return folder


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("nets")
    return [f"{name}={taught(folder, fusion, seed)}" for seed, (name, fusion) in enumerate(NETS.items())]


def taught(folder: Path, fusion: str, seed: int) -> Path:
    """Return a network whose file has metadata of its training."""
    training = {
        "model": {"fusion": fusion},
        "seed": seed,
        "num_steps": 900,
        "batch_size": 16,
        "stage": "speech",
        "learning_rate": 0.001,
    }
    about = {"training": training, "step": 700 + seed, "start": f"{seed % 10}" * 64}
    path = folder / f"{fusion}-{seed}.safetensors"
    save_checkpoint(path, stirred(tiny(fusion)), about)
    return path


@pytest.fixture(scope="module")
def made(lists: Path, nets: list[str], tmp_path_factory: pytest.TempPathFactory, one_process: None) -> Path:
    """The folder in which the table was made, of three nets first and then of all four."""
    folder = tmp_path_factory.mktemp("made")
    for chosen in ([nets[0], *nets[2:]], nets):
        (folder / "table.md").unlink(missing_ok=True)
        main([*options(folder, lists), *chosen])
    return folder


def options(folder: Path, lists: Path) -> list[str]:
    return [str(lists), "--output", str(folder / "table.md"), "--results", str(folder / "results"), "--jobs", "1"]


def kept(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results" / "results.jsonl").read_text().splitlines()]


def tables(page: str, heading: str) -> list[list[list[str]]]:
    """Cells of the tables below a heading, heads first."""
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    found = [part.strip().splitlines() for part in section.split("\n\n") if part.strip().startswith("| ")]
    return [[line[2:-2].split(" | ") for line in lines if "---" not in line] for lines in found]


def test_rows_of_every_list_and_method(made: Path) -> None:
    page = (made / "table.md").read_text()
    for name in LISTS:
        scores, differences = tables(page, name)
        assert [row[:2] for row in scores[1:]] == [["mixed", "2"], *([net, "2"] for net in NETS)]
        assert [row[:2] for row in differences[1:]] == [["mixed", "2"], ["AO", "2"], ["CWC", "2"], ["MMTM global", "2"]]
        assert all(len(row) == len(scores[0]) for row in scores)
    found = kept(made)
    told = next(row for row in tables(page, "noisy")[0] if row[0] == "CWC")
    values = [row["scores"]["si_sdr"] for row in found if row["method"] == "CWC" and row["subset"] == "noisy"]
    assert told[-1].startswith(f"{np.mean(values):.2f} (")


def test_the_paper_stands_beside_its_own_list_alone(made: Path) -> None:
    page = (made / "table.md").read_text()
    scores, differences = tables(page, "three-talkers-paper")
    assert [row[-2:] for row in scores[1:4]] == [["2.19", "0.900"], ["2.43", "0.930"], ["2.67", "0.938"]]
    assert [row[-2:] for row in differences[1:4]] == [["+0.54", "+0.041"], ["+0.30", "+0.011"], ["+0.06", "+0.003"]]
    assert "paper" not in " ".join(tables(page, "noisy")[0][0])
    assert tables(page, "The table in the paper")[0][-1] == ["MMTM", "2.73", "0.941"]


def test_recipes_are_those_in_the_files(made: Path) -> None:
    heads, *recipes = tables((made / "table.md").read_text(), "Training of the networks")[0]
    told = dict(zip(heads, recipes[3], strict=True))
    assert (told["net"], told["fusion"], told["seed"], told["steps planned"]) == ("MMTM time", "mmtm", "3", "900")
    assert (told["step kept"], told["start"]) == ("703", "3" * 12)
    assert "\nSettings that differ: seed.\n" in (made / "table.md").read_text()


def test_what_is_done_is_not_done_again(made: Path, lists: Path, nets: list[str]) -> None:
    before = kept(made)
    assert len(before) == 2 * 2 * 5
    assert [row["method"] for row in before[-4:]] == ["CWC"] * 4
    main([*options(made, lists), *nets])
    assert kept(made) == before


def test_faces_are_found_once_for_all_nets(
    lists: Path, see_through: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = face_tracker.track_faces
    monkeypatch.setattr(face_tracker, "track_faces", lambda *args, **more: calls.append(1) or real(*args, **more))
    video, clean = (lists / "noisy" / kind for kind in ("mix/a.mkv", "s1/a.wav"))
    found = rows(tmp_path, Item("a", "", video, clean, video), f"one={see_through}", f"two={tiny_model}")
    assert [row["status"] for row in found] == ["ok"] * 3
    assert len(calls) == 1


def test_nets_of_several_seeds_are_one_row(lists: Path, nets: list[str], tmp_path: Path) -> None:
    again = [f"CWC={taught(tmp_path, 'cwc', 11)}", f"MMTM time={taught(tmp_path, 'mmtm', 12)}"]
    main([*options(tmp_path, lists), "--limit", "1", nets[1], nets[3], *again])
    page, found = (tmp_path / "table.md").read_text(), kept(tmp_path)
    score = {row["method"]: row["scores"]["si_sdr"] for row in found if row["subset"] == "noisy"}
    assert set(score) == {"mixed", "CWC", "CWC seed 11", "MMTM time", "MMTM time seed 12"}
    assert len({round(value, 4) for value in score.values()}) == 5
    scores, differences = tables(page, "noisy")
    assert [row[0] for row in scores[1:]] == ["mixed", "CWC", "MMTM time"]
    cwc, mmtm = ((score[name] + score[f"{name} seed {seed}"]) / 2 for name, seed in (("CWC", 11), ("MMTM time", 12)))
    assert [row[-1].split(" (")[0] for row in scores[2:]] == [f"{cwc:.2f}", f"{mmtm:.2f}"]
    assert differences[2][-1].startswith(f"{mmtm - cwc:+.2f} (")
    alone = [row for row in tables(page, "Each seed")[0] if row[0] == "noisy"]
    assert [row[1:3] for row in alone] == [["MMTM time", "CWC"], ["MMTM time seed 12", "CWC seed 11"]]
    gaps = [score[mine] - score[other] for _, mine, other, *_ in alone]
    assert [row[-1].split(" (")[0] for row in alone] == [f"{gap:+.2f}" for gap in gaps]
    recipes = tables(page, "Training of the networks")[0][1:]
    assert [row[0] for row in recipes] == ["CWC", "CWC seed 11", "MMTM time", "MMTM time seed 12"]
    assert '"CWC=PATH" "CWC=PATH" "MMTM time=PATH" "MMTM time=PATH"' in page


def test_an_item_that_one_seed_lacks_has_no_mean() -> None:
    nets: Any = {"ours": {"ours": None, "ours seed 8": None}, "other": {"other": None}}
    told = [("a", "ours", 1.0), ("a", "ours seed 8", 4.0), ("a", "other", 2.0), ("b", "ours", 3.0)]
    told += [("c", "ours", 1.0), ("c", "ours seed 8", None), ("c", "other", 5.0)]
    made_up = [{"subset": "x", "item": i, "method": m, "scores": {"si_sdr": value}} for i, m, value in told]
    assert [(row["item"], row["method"], row["scores"]) for row in over_seeds(made_up, nets)] == [
        ("a", "ours", {"si_sdr": 2.5}),
        ("a", "other", {"si_sdr": 2.0}),
        ("c", "ours", {}),
        ("c", "other", {"si_sdr": 5.0}),
    ]


def test_another_fusion_is_no_other_seed(
    lists: Path, nets: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*options(tmp_path, lists), nets[3], f"MMTM time={taught(tmp_path, 'cwc', 11)}"])
    assert "the same fusion trained with another seed" in capsys.readouterr().err


def score_table(**scores: np.ndarray) -> ScoreTable:
    """Made-up SI-SDRs of methods on the items of one list."""
    return ScoreTable([
        {"item": str(item), "subset": "x", "method": method, "status": "ok", "scores": {"si_sdr": value}}
        for method, values in scores.items() for item, value in enumerate(values.tolist())
    ])  # fmt: skip


def test_intervals_of_a_known_truth() -> None:
    """Normal scores: 1.96 standard errors; a gap that is the same everywhere is certain, however the items differ."""
    rng = np.random.default_rng(0)
    hard = rng.normal(3.0, 5.0, 400)
    found = score_table(mixed=hard, ours=hard + 0.5 + rng.normal(0.0, 1.0, 400), same=hard + 0.25)
    alone, gap = found.mean("si_sdr", "ours", "x"), difference(found, "x", "si_sdr", "ours", "mixed")
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * np.hypot(5, 1) / 20, rel=0.15)
    assert gap.high - gap.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert gap.low < 0.5 < gap.high
    certain = difference(found, "x", "si_sdr", "same", "mixed")
    assert [certain.value, certain.low, certain.high] == pytest.approx([0.25] * 3)
    assert difference(found, "x", "si_sdr", "ours", "mixed") == gap


def test_items_without_a_score_count_in_no_difference() -> None:
    found = score_table(mixed=np.array([1.0, 2.0, np.nan]), ours=np.array([2.0, np.nan, 5.0]))
    gap = difference(found, "x", "si_sdr", "ours", "mixed")
    assert (gap.value, gap.num_items) == (1.0, 1)


def test_a_table_of_known_scores() -> None:
    found = score_table(mixed=np.array([1.0, 1.0]), ours=np.array([3.0, 3.0]))
    lines = scores_table(found, "x", {"mixed": "mixed", "ours": "mmtm"}, True).splitlines()
    unknown = "nan (nan to nan)"
    assert lines[3] == f"| ours | 2 | {unknown} | {unknown} | {unknown} | 3.00 (3.00 to 3.00) | 2.73 | 0.941 |"
    assert spread(found.mean("si_sdr", "ours"), "si_sdr", "+") == "+3.00 (+3.00 to +3.00)"


def test_the_paper_table_is_the_paper_s() -> None:
    assert len(paper_table().splitlines()) == 2 + len(PAPER) == 8
    assert paper_differences("mmtm", "cwc") == ["+0.06", "+0.003"]
    assert paper_differences("mmtm", "msaf") == paper_differences("mmtm", "mmtm-global") == ["", ""]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["AO=nowhere.safetensors"], "There is no checkpoint nowhere.safetensors"),
        (["nowhere.safetensors"], "Write NAME=PATH"),
        (["AO=avse", "AO=avse"], "Repeat a name only"),
        (["AO=avse", "CWC=avse"], "no network called 'MMTM time'"),
    ],
)
def test_invalid_options_are_reported_before_any_work(
    lists: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], typed: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*options(tmp_path, lists), *typed])
    told = capsys.readouterr().err
    assert caught.value.code == 2
    assert said in told
    assert len(re.findall("\n", told)) == 2
    assert not (tmp_path / "results").exists()
