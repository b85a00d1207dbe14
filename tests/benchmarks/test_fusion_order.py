"""The order of the fusions: paired by item, seeds averaged, and a verdict that follows the interval."""

from __future__ import annotations

from pathlib import Path

import pytest
from fusion_order import main, order_table, read_scores, seeds_of, verdict


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """Four items; CWC has two seeds, AO fails once, and the global squeeze lies below CWC on every item."""
    path, lines = tmp_path / "scores.csv", ["subset,item,method,status,pesq,stoi,si_sdr"]
    gains = {"AO": 0.0, "CWC": 1.0, "CWC seed 8": 3.0, "MMTM global": 1.0, "MMTM time": 3.0}
    for method, gain in gains.items():
        for item in range(4):
            failed = method == "AO" and item == 3
            values = "" if failed else f"{10 * item + gain},{gain / 10},{gain}"
            lines.append(f"noise,{item},{method},{'failed' if failed else 'ok'},{values or ',,'}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_seeds_are_averaged_and_failures_left_out(scores: Path) -> None:
    found = read_scores(scores)
    assert found["noise", "CWC"]["si_sdr"] == {str(item): 2.0 for item in range(4)}
    assert set(found["noise", "AO"]["pesq"]) == {"0", "1", "2"}
    assert seeds_of(scores) == {"AO": 1, "CWC": 2, "MMTM global": 1, "MMTM time": 1}


def test_differences_are_paired_and_judged(scores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = order_table(read_scores(scores)).splitlines()
    assert [line.split("|")[2].strip() for line in lines[2:]] == [
        "CWC minus AO", "MMTM global minus CWC", "MMTM time minus MMTM global",
    ]  # fmt: skip
    assert "+2.00 (+2.00 to +2.00)" in lines[2]
    assert lines[3].endswith("reversed, reversed, reversed |")
    assert lines[4].endswith("holds, holds, holds |")
    main([str(scores)])
    assert "CWC 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.1, 0.2, "holds"), (-0.2, -0.1, "reversed"), (-0.1, 0.1, "open")]
)
def test_an_interval_that_holds_0_shows_nothing(low: float, high: float, expected: str) -> None:
    assert verdict(low, high) == expected
