"""The benchmark of GRID's words: what file names spell, the features, the nets, the splits and the tables."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path

import grid_clips
import grid_words
import numpy as np
import pytest
import torch
from grid_clips import SIDE, WORDS, Sentence, find_speech, load_sentences, optical_flow, read_words
from grid_nets import FUSIONS, WordNet
from grid_words import INPUTS, make_inputs, read_rows, score, split, train

from avse.data import shards
from avse.data.synthetic.speech import speak


def sentences(count: int, speaker: str = "a", num_frames: int = 40) -> list[Sentence]:
    rng = np.random.default_rng(0)
    shapes = [(num_frames, SIDE, SIDE), (num_frames, 2, SIDE, SIDE), (40, 4 * num_frames)]
    return [
        Sentence(
            speaker,
            str(n),
            *(rng.normal(size=s).astype(np.float32) for s in shapes),
            (5.0, 35.0),
            (n % 4, n % 25, n % 10),
        )
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [("bbaf2n", "bf2"), ("lwilzp", "wlz"), ("s29_bgak6n_gt", "gk6"), ("bwb-bwbt8p", "bt8".replace("b", "w", 1))],
)
def test_names_spell_colour_letter_and_digit(name: str, words: str) -> None:
    found = read_words(name)
    assert found is not None
    assert "".join(kinds[n] for kinds, n in zip(WORDS.values(), found, strict=True)) == words


@pytest.mark.parametrize("name", ["clip", "bbaf2", "bbaf2nn", "bbaw2n", "xbaf2n", "abbaf2n", "bbaf0n"])
def test_names_that_are_no_sentence(name: str) -> None:
    assert read_words(name) is None


def test_flow_of_what_moves_to_the_right() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    still = np.sin(columns / 2) + np.cos(rows / 2)
    flow = optical_flow(np.stack([still, still, np.sin((columns - 1) / 2) + np.cos(rows / 2)]).astype(np.float32))
    assert (flow.shape, flow.dtype) == ((3, 2, SIDE, SIDE), np.float32)
    inner = flow[:, :, 8:-8, 8:-8].mean((2, 3))
    np.testing.assert_allclose(np.abs(inner), [[0, 0], [0, 0], [0, 1]], atol=0.15)


def test_speech_is_where_it_is_loud() -> None:
    waveform = np.random.default_rng(0).normal(0, 0.001, 40 * 640).astype(np.float32)
    waveform[10 * 640 : 30 * 640] *= 100
    first, last = find_speech(waveform)
    assert first == pytest.approx(10, abs=1)
    assert last == pytest.approx(30, abs=1)


def test_prepared_clips_of_grid_become_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_clips, "log_mel", lambda audio: np.zeros((40, len(audio) // 160), np.float32))
    for name in ("one/bbaf2n", "one/talk", "two/x-lwilzp"):
        path = tmp_path / f"{name}.npz"
        path.parent.mkdir(exist_ok=True)
        waveform = (speak(0.4, seed=0).waveform * 20000).astype(np.int16)[:6400]
        np.savez(path, sound=waveform, lips=np.random.default_rng(0).integers(0, 255, (10, 88, 88), np.uint8))
    found = load_sentences([tmp_path])
    assert [(each.speaker, each.name) for each in found] == [("one", "bbaf2n"), ("two", "x-lwilzp")]
    assert {each.lips.shape + each.flow.shape + each.audio.shape for each in found} == {
        (10, SIDE, SIDE, 10, 2, SIDE, SIDE, 40, 40)
    }
    shards.pack(tmp_path / "one")
    packed = load_sentences([tmp_path])
    assert [(each.speaker, each.name, each.words) for each in packed] == [
        (each.speaker, each.name, each.words) for each in found
    ]
    np.testing.assert_array_equal(packed[0].lips, found[0].lips)


def test_mirrored_faces_move_the_other_way() -> None:
    one = sentences(1)
    usual = make_inputs(one)
    assert [tuple(x.shape) for x in usual] == [(1, 2, 32, SIDE, SIDE)] * 2 + [(1, 40, 128)]
    lips, flow = (x[0].numpy() for x in usual[:2])
    for seed in range(8):
        rng = np.random.default_rng(seed)
        varied = grid_words._vary(lips, flow, rng)
        for before, after in zip((lips, flow), varied, strict=True):
            assert after.std() == pytest.approx(before.std(), rel=1e-4)
        turned = np.sort(varied[1][1].ravel())
        signs = [np.allclose(turned, np.sort(sign * flow[1].ravel())) for sign in (1, -1)]
        assert sum(signs) == 1
        assert np.allclose(np.sort(varied[1][0].ravel()), np.sort(flow[0].ravel()))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_inputs_are_joined_in_every_fusion_but_late(fusion: str) -> None:
    torch.manual_seed(0)
    net = WordNet(fusion, with_audio=True).eval()
    with torch.no_grad():
        for join in net.joins:  # the weights of MMTM's and MSAF's gates: large enough to be visible
            for value in join.parameters():
                value.mul_(3)
    lips, flow, audio = (x[:, :, ::4] if x.ndim == 5 else x[..., ::4] for x in make_inputs(sentences(2)))
    with torch.no_grad():
        joined, branches = net(lips, flow, audio)
        _, others = net(lips, flow + 1, audio)
    assert [tuple(x.shape) for x in joined] == [(2, len(kinds)) for kinds in WORDS.values()]
    torch.testing.assert_close(joined, [torch.stack(each).mean(0) for each in zip(*branches, strict=True)])
    assert torch.equal(branches[0][0], others[0][0]) == (fusion == "late")
    assert not torch.equal(branches[1][0], others[1][0])
    assert torch.equal(branches[2][0], others[2][0]) == (fusion in ("late", "AsymFusion"))


def test_a_step_of_training_and_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_words, "BATCH_SIZE", 2)
    own = sentences(3)
    found = score(train("MSAF", False, own, 1, seed=0), own)
    assert list(found) == ["a/0", "a/1", "a/2"]
    assert all(len(right) == 3 for right in found.values())


def test_three_seeds_test_everyones_sentences_once_each() -> None:
    own, others = sentences(7), sentences(2, "b")
    assert split("speakers", 1, own, others) == (own, others)
    names = sorted((each.speaker, each.name) for each in (*own, *others))
    thirds = []
    for seed in range(6):
        parts = split("sentences", seed, own, others)
        learned, tested = ([(each.speaker, each.name) for each in part] for part in parts)
        assert sorted([*learned, *tested]) == names
        assert len(tested) == 3
        thirds.append(tested)
    assert sorted(chain(*thirds[:3])) == names
    assert sorted(chain(*thirds[3:])) == names
    assert sorted(thirds[:3]) != sorted(thirds[3:])


def test_thirds_do_not_follow_what_names_repeat() -> None:
    """Digits that return with every third name are in training and test alike."""
    own = sentences(90)
    own = [replace(each, words=(0, 0, index % 3)) for index, each in enumerate(own)]
    for seed in range(3):
        _, tested = split("sentences", seed, own, [])
        assert {each.words[2] for each in tested} == {0, 1, 2}


def test_tables_of_known_rows() -> None:
    right = {"late": [True, False, False], "MMTM": [True, True, False], "MSAF": [True] * 3, "AsymFusion": [False] * 3}
    second = right | {"MMTM": right["late"]}
    rows = [
        {"apart": "speakers", "inputs": "lips + flow", "fusion": f, "seed": seed, "steps": 1, "num_training": 9}
        | {"training": ["a"], "right": {"b/1": each, "b/2": second[f]}}
        for f, each in right.items()
        for seed in (0, 1)
    ]
    table = grid_words.section(rows, "speakers", "lips + flow")
    assert "9 sentences of a in training; tests on 2 of b; 2 seeds." in table
    cells = [[cell.strip() for cell in line.split("|")[3:-1]] for line in table[-4:]]
    assert cells[0] == ["100.0 ± 0.0", "0.0 ± 0.0", "0.0 ± 0.0", "33.3 ± 0.0", "-", "-"]
    assert [line[-2:] for line in cells[1:]] == [
        ["+16.7 (+0.0 to +33.3)", "2134"],  # (1.96 * 33.3 / sqrt 2)^2
        ["+66.7 (+66.7 to +66.7)", "0"],
        ["-33.3 (-33.3 to -33.3)", "0"],
    ]
    assert grid_words.section(rows[:-2], "speakers", "lips + flow") == []
    assert "## Speakers apart, lips + flow" in grid_words.page_parts(rows)["scores"]


def test_rows_of_earlier_versions_are_read(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"inputs": "lips + flow + sound"}\n{"inputs": "lips + flow"}\n')
    assert [row["inputs"] for row in read_rows(rows)] == [*reversed(INPUTS)]
