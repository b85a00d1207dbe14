"""The benchmark of digits with missing audio: its splits, its methods on made-up digits, its tables."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import av_mnist
import digit_training
import digits
import numpy as np
import pytest
import torch
from digit_training import METHODS, make_start, score
from digits import Task, load_mnist, make_task

NUM_TAKES = 5


def images_of(count: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    """As many images as wanted, each of a level of its own."""
    numbers = np.arange(first, first + count)
    levels = np.random.default_rng(first).random((count, 28, 28)).astype(np.float32) / 1000
    return levels + numbers[:, None, None].astype(np.float32), numbers % 10


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Task:
    """Three takes for training, two of them with audio, and two for testing; every take has its own level."""
    monkeypatch.setattr(digits, "PER_DIGIT", {"training": 3, "test": 2})
    rng = np.random.default_rng(0)
    audio = {("a", n): (rng.random((10, 20, 20)) / 100 + n).astype(np.float32) for n in range(NUM_TAKES)}
    return make_task((images_of(40, 0), images_of(40, 1000)), audio, share_with_audio=0.6, seed=1)


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


def test_of_t10k_alone_the_halves_are_training_and_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "HALF", 20)
    monkeypatch.setattr(digits, "MARGIN", 2)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.arange(40)[:, None, None] * np.ones((1, 28, 28)))
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", np.arange(40) % 10)
    for (images, labels), numbers in zip(load_mnist(tmp_path), (np.arange(18), np.arange(22, 40)), strict=True):
        np.testing.assert_allclose(images[:, 3, 3] * 255, numbers, atol=1e-4)
        np.testing.assert_array_equal(labels, numbers % 10)


def test_a_split_shares_no_image_and_no_take(task: Task) -> None:
    parts = {"training": task.training, "test": task.test}
    used = {name: part.images.mean((1, 2, 3)).round().int().tolist() for name, part in parts.items()}
    assert {name: len(set(numbers)) for name, numbers in used.items()} == {"training": 30, "test": 20}
    assert max(used["training"]) < 1000 <= min(used["test"])
    for name, part in parts.items():
        assert [number % 10 for number in used[name]] == part.labels.tolist()
    levels = [set(part.audio.mean((1, 2, 3)).mul(10).round().int().tolist()) for part in parts.values()]
    assert not levels[0] & levels[1]


def test_the_share_of_audio_is_that_of_whole_takes_and_sets_their_scale(task: Task) -> None:
    assert task.with_audio.tolist() == list(range(20))
    own = task.training.audio[task.with_audio]
    torch.testing.assert_close(own.mean((0, 3)), torch.zeros(1, 20), atol=1e-4, rtol=0)
    torch.testing.assert_close(own.std((0, 3)), torch.ones(1, 20), atol=1e-4, rtol=0)


def test_every_method_runs_and_leaves_the_start_as_it_is(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IMAGE_STEPS", "AUDIO_STEPS", "JOINT_STEPS"):
        monkeypatch.setattr(digit_training, name, 1)
    monkeypatch.setattr(digit_training, "BATCH_SIZE", 4)
    start = make_start(task, seed=0)
    before = [value.clone() for value in start.joint.state_dict().values()]
    answers = {name: method(start, 1, 0) for name, method in METHODS.items()}
    for name, answer in answers.items():
        found = score(answer, start)
        assert set(found) == {"image only", "more images"} | (set() if name.startswith("image") else {"both"})
        assert all(0 <= value <= 100 for value in found.values())
    again = METHODS[av_mnist.SUBJECT](start, 1, 0)
    assert torch.equal(again(task.test.images, None), answers[av_mnist.SUBJECT](task.test.images, None))
    assert all(torch.equal(a, b) for a, b in zip(before, start.joint.state_dict().values(), strict=True))


def test_the_image_network_trained_as_long_sees_as_many_batches(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    monkeypatch.setattr(digit_training, "fit", lambda net, loss, count, steps, seed: counts.append(steps))
    start = make_start(task, seed=0)
    METHODS["image only, trained as long"](start, 7, 0)
    assert counts[-1] == digit_training.JOINT_STEPS + 2 * 7


def row(method: str, seed: int, alone: float, both: float, share: float = 0.2) -> dict[str, object]:
    accuracy = {"image only": alone, "more images": alone, "both": both}
    return {"share": share, "seed": seed, "steps": 9, "method": method, "accuracy": accuracy}


def test_tables_of_known_accuracies() -> None:
    rows = [row("zeros", 0, 90.0, 95.0), row("zeros", 1, 92.0, 95.0)]
    rows += [row(av_mnist.SUBJECT, 0, 93.0, 94.0), row(av_mnist.SUBJECT, 1, 93.0, 96.0)]
    table = av_mnist.accuracy_table(rows, with_paper=True)
    assert "| zeros | 2 | 91.0 ± 1.4 | 91.0 ± 1.4 | 95.0 ± 0.0 | - | - |" in table
    assert f"| {av_mnist.SUBJECT} | 2 | 93.0 ± 0.0 | 93.0 ± 0.0 | 95.0 ± 1.4 | 94.9 | 96.0 |" in table
    gaps = "+2.0 ± 1.4 (above on 2 of 2) | +2.0 ± 1.4 (above on 2 of 2) | +0.0 ± 1.4 (above on 1 of 2)"
    assert av_mnist.difference_table(rows)[2:] == [f"| zeros | {gaps} |"]


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    done = [row(name, seed, 90.0, 90.0) for name in ("zeros", av_mnist.SUBJECT) for seed in (0, 1)]
    torn = '{"share": 0.2, "seed"'
    page.with_suffix(".jsonl").write_text("\n".join([*map(json.dumps, done), torn]))
    monkeypatch.setattr(av_mnist, "load_mnist", lambda folder: pytest.fail("nothing is left to do"))
    asked = ["audio", "--mnist", "m", "--seeds", "2", "--steps", "9", "--methods", "zeros", av_mnist.SUBJECT]
    av_mnist.main([*asked, "--output", str(page)])
    assert "| zeros | 2 | 90.0 ± 0.0" in page.read_text()


def test_rows_of_earlier_versions_are_read(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"accuracy": {"image only": 90.0, "more pictures": 80.0}}\n{"accuracy": {"im')
    assert av_mnist.read_rows(rows) == [{"accuracy": {"image only": 90.0, "more images": 80.0}}]
