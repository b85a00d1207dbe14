"""The benchmark of colours from edges and luminance: its images, its nets, its scores and its tables."""

from __future__ import annotations

from pathlib import Path

import asym_colour
import colour_frames
import numpy as np
import pytest
import torch
from asym_colour import EXCHANGE_OFF, EXCHANGE_ON, METHODS, predict, score, train
from colour_frames import SIDE, Views, find_people, load_views, split_views


def views(count: int = 4) -> Views:
    rng = np.random.default_rng(0)
    images = [rng.random((count, channels, SIDE, SIDE), np.float32) for channels in (1, 1, 3)]
    return Views(*images, people=np.array(["a", "b"] * count)[:count])


def test_edges_have_no_levels_and_luminance_has_no_detail() -> None:
    frame = np.zeros((128, 128, 3), np.uint8)
    frame[:, 64:] = 200
    edges, luminance, colours = split_views(frame)
    assert edges.shape == luminance.shape == (1, SIDE, SIDE)
    assert edges[0, 10].argmax() in (31, 32)
    assert edges[0, :, :28].max() < 1e-6 > edges[0, :, 36:].max()
    np.testing.assert_allclose(luminance[0, :, [4, -5]], np.array([[0], [200 / 255]]).repeat(SIDE, 1), atol=0.02)
    assert np.abs(np.diff(luminance[0, 10])).max() < 0.5 * 200 / 255
    np.testing.assert_allclose(colours[:, 0, -1], 200 / 255, atol=1e-6)


def test_a_dark_frame_has_images_too() -> None:
    assert all(np.isfinite(image).all() and image.max() == 0 for image in split_views(np.zeros((9, 7, 3), np.uint8)))


def test_no_person_has_more_than_four_clips(tmp_path: Path) -> None:
    for name in [*(f"a/g/{n}.mp4" for n in range(11)), "b/1.mp4"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert {person: len(paths) for person, paths in find_people([tmp_path]).items()} == {"a": 4, "b": 1}
    with pytest.raises(SystemExit, match="No PERSON"):
        find_people([tmp_path / "b"])


def test_frames_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frames = [("a", rng.integers(0, 255, (80, 80, 3), np.uint8)) for _ in range(2)]
    write_clips(tmp_path, "a/1.mp4")
    monkeypatch.setattr(colour_frames, "_frames", lambda people: frames)
    first = load_views([tmp_path], tmp_path / "cache.npz")
    monkeypatch.setattr(colour_frames, "_frames", lambda people: pytest.fail("they are stored"))
    again = load_views([tmp_path], tmp_path / "cache.npz")
    np.testing.assert_array_equal(first.colours, again.colours)
    np.testing.assert_allclose(again.edges[1], split_views(frames[1][1])[0], atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize("change", ["clip", "size", "folder", "earlier version"])
def test_frames_of_other_clips_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    levels = iter([10, 200])
    monkeypatch.setattr(
        colour_frames, "_frames", lambda people: [("a", np.full((80, 80, 3), next(levels), np.uint8))] * 2
    )
    write_clips(tmp_path / "one", "a/1.mp4")
    first = load_views([tmp_path / "one"], tmp_path / "cache.npz")
    folder = "two" if change == "folder" else "one"
    if change == "earlier version":
        with np.load(tmp_path / "cache.npz") as stored:
            former = {name: stored[name] for name in stored if name != "data"}
        np.savez(tmp_path / "cache.npz", **former)
    elif change == "size":
        (tmp_path / "one" / "a" / "1.mp4").write_bytes(b"longer")
    else:
        write_clips(tmp_path / folder, "a/2.mp4")
    again = load_views([tmp_path / folder], tmp_path / "cache.npz")
    assert first.colours.max() < 0.1
    assert again.colours.min() > 0.7


def write_clips(folder: Path, *names: str) -> None:
    """Write files that count as clips."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"clip")


def test_directions_are_joined_only_with_the_exchange() -> None:
    own = views()
    other = Views(own.edges, own.luminance[::-1].copy(), own.colours, own.people)
    for name, build in METHODS.items():
        torch.manual_seed(0)
        net = build().eval()
        before, after = predict(net, own), predict(net, other)
        assert before["ensemble"].shape == own.colours.shape
        if name == "two encoders, concatenated":
            assert list(before) == ["ensemble"]
        else:
            assert np.array_equal(before["from edges"], after["from edges"]) == (name != EXCHANGE_ON)
            assert not np.array_equal(before["from luminance"], after["from luminance"])


def test_a_shared_encoder_is_half_of_two_and_the_exchange_is_free() -> None:
    sizes = {name: asym_colour.encoder_size(build()) for name, build in METHODS.items()}
    assert sizes[EXCHANGE_ON] == sizes[EXCHANGE_OFF]
    assert 0.5 <= sizes[EXCHANGE_OFF] / sizes["two encoders"] < 0.55
    assert sizes["shared encoder, shared norms"] == sizes["two encoders"] / 2


def test_a_step_of_training_changes_the_net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asym_colour, "BATCH_SIZE", 2)
    torch.manual_seed(0)
    before = METHODS[EXCHANGE_ON]().state_dict()
    after = train(METHODS[EXCHANGE_ON], views(), 1, seed=0).state_dict()
    assert not torch.equal(before["encoder.layer4.1.conv2.weight"], after["encoder.layer4.1.conv2.weight"])
    assert not torch.equal(before["ensemble.alpha"], after["ensemble.alpha"])


def test_scores_that_are_known() -> None:
    own = views()
    error = np.where(own.people == "a", 0.01, 0.1)[:, None, None, None].astype(np.float32)
    found = score(own.colours + error, own)
    assert found["psnr"] == pytest.approx({"a": 40, "b": 20}, abs=1e-3)
    assert 0.8 < found["ssim"]["b"] < found["ssim"]["a"] < 1


def test_tables_of_known_rows() -> None:
    levels = {EXCHANGE_OFF: 20.0, EXCHANGE_ON: 21.0}
    rows = [
        {"method": method, "seed": seed, "steps": 3, "frames": [9, 4]}
        | {"scores": {"ensemble": {"psnr": {"a": level, "b": level + seed}, "ssim": {"a": 0.5, "b": 0.7}}}}
        for method, level in levels.items()
        for seed in (0, 1)
    ]
    table = {line.split(" | ")[0]: line for line in asym_colour.method_table(rows)}
    assert " | 20.25 ± 0.35 | 0.600 ± 0.000 | - | -" in table[f"| {EXCHANGE_OFF}"]
    assert asym_colour.difference_table(rows)[2:] == [
        f"| {EXCHANGE_OFF} | +1.00 (+1.00 to +1.00) | +0.000 (+0.000 to +0.000) |"
    ]
    assert "9 frames" in asym_colour.page_parts(rows, 3)["method"]
