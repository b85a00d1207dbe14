"""The benchmark of missing video: gaps of a second, the share that was asked for; means with their intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from missing import LOST, differences, interval, random_gaps, spread_out, table, with_present_keys


def lengths(lost: np.ndarray) -> list[int]:
    """Of every stretch that is lost."""
    edges = np.diff(np.concatenate([[0], lost.astype(int), [0]]))
    return sorted((np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1)).tolist())


@pytest.mark.parametrize("num_frames", [1, 10, 88, 400])
@pytest.mark.parametrize("share", LOST.values())
def test_the_share_is_lost_in_gaps_of_a_second(num_frames: int, share: float) -> None:
    count = round(share * num_frames)
    for seed in range(20):
        lost = random_gaps(num_frames, share, np.random.default_rng(seed))
        assert (lost.dtype, lost.shape, lost.sum()) == (bool, (num_frames,), count)
        if share <= 0.5 or count <= 25:
            rest = [count % 25] if count % 25 else []
            assert lengths(lost) == sorted(rest + [25] * (count // 25))


def test_gaps_are_anywhere() -> None:
    often = np.mean([random_gaps(100, 0.25, np.random.default_rng(seed)) for seed in range(2000)], axis=0)
    assert often[50] == pytest.approx(25 / 76, abs=0.05)
    assert often[0] == pytest.approx(1 / 76, abs=0.02)


def test_a_part_of_the_items_has_some_of_everyone() -> None:
    paths = [Path(f"{person}{item}") for person in "abc" for item in range(4)]
    assert [path.name for path in spread_out(paths, 3)] == ["a0", "b0", "c0"]
    assert [path.name for path in spread_out(paths, 5)] == ["a0", "a2", "b0", "b3", "c1"]
    assert spread_out(paths, None) == spread_out(paths, 99) == paths


def test_a_table_of_known_scores() -> None:
    rows = [
        {"list": name, "item": str(item), "method": "net", "video": condition, "si_sdr_gain": item + bonus}
        for name, bonus in (("a", 0.0), ("b", 10.0))
        for item in range(4)
        for condition in LOST
    ]
    lines = table(rows, "si_sdr_gain", 2).splitlines()
    assert lines[2] == "| a | 4 | net |" + " 1.50 |" * 5
    assert lines[3] == "| b | 4 | net |" + " 11.50 |" * 5
    assert lines[4].startswith(f"| all | 8 | net | 6.50 ± {interval([0, 1, 2, 3, 10, 11, 12, 13]):.2f} |")


def test_only_the_conditions_of_the_rows_are_columns() -> None:
    rows = [
        {"list": "a", "item": str(item), "method": method, "video": condition, "si_sdr_gain": 1.0}
        for item in range(2)
        for method in ("one", "other")
        for condition in ("absent", "present")
    ]
    assert table(rows, "si_sdr_gain", 2).splitlines()[0] == "| list | items | method | present | absent |"
    assert table(rows[1::2], "si_sdr_gain", 2).splitlines()[0] == "| list | items | method | present |"
    assert differences(rows[1::2], "si_sdr_gain", 2, "one").splitlines()[0] == "| one minus | present |"


def test_differences_are_taken_item_by_item() -> None:
    """Two nets that differ by 1 dB everywhere differ by 1 ± 0, however much the items do."""
    rows = [
        {"list": "a", "item": str(item), "method": method, "video": condition, "si_sdr_gain": 5.0 * item + bonus}
        for method, bonus in (("worse", 0.0), ("better", 1.0))
        for item in range(4)
        for condition in LOST
    ]
    assert differences(rows, "si_sdr_gain", 2, "better").splitlines()[2:] == ["| worse |" + " +1.00 ± 0.00 |" * 5]
    assert differences(rows[:-1], "si_sdr_gain", 2, "worse").endswith(" -1.00 ± 0.00 |")


def test_an_interval() -> None:
    values = np.random.default_rng(0).standard_normal(400)
    assert interval(values) == pytest.approx(1.96 * 0.05, rel=0.1)
    assert np.isnan(interval([1.0]))


def test_rows_of_earlier_versions_are_read() -> None:
    assert with_present_keys({"picture": "absent"})["video"] == "absent"
    assert with_present_keys({"video": "present"}) == {"video": "present"}
