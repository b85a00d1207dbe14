"""The page of scores on mixtures: items parted by where the other talkers come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixtures import origins, table_by_origin

INDEX = """list,item,target_speaker,interference
two,a,lrc04,libri7148@0dB
two,b,lrc22,lrc29@0dB
two,c,lrc22,lrc29@0dB Dog bark@-10dB
three,a,lrc04,lrc24@-6dB libri458@-6dB
noise,a,lrc04,Clock tick@-5dB
"""
SAME, ELSEWHERE = "only from the same recordings", "at least one from another collection"


def row(item: str, method: str, si_sdr: float, status: str = "ok") -> dict[str, Any]:
    scores = {"pesq": 1.5, "stoi": 0.7, "si_sdr": si_sdr} if status == "ok" else {}
    return {"subset": "two", "item": item, "method": method, "status": status, "scores": scores}


def test_where_the_other_talkers_come_from(tmp_path: Path) -> None:
    index = tmp_path / "mixtures.csv"
    index.write_text(INDEX)
    assert origins(index) == {
        ("two", "a"): ELSEWHERE, ("two", "b"): SAME, ("two", "c"): SAME, ("three", "a"): ELSEWHERE,
    }  # fmt: skip


def test_an_index_of_another_form_is_ignored(tmp_path: Path) -> None:
    index = tmp_path / "mixtures.csv"
    index.write_text("item,role,speaker\n1,target,lrc04\n")
    assert origins(index) == {}


def test_gains_are_means_of_the_items_that_both_have() -> None:
    rows = [
        row("b", "avse", 4.0), row("b", "mixed", 1.0), row("c", "mixed", 0.0), row("c", "avse", 1.0),
        row("a", "mixed", 0.0, "failed"), row("a", "avse", 9.0), row("c", "avse-small", 0.0, "failed"),
    ]  # fmt: skip
    origin = {("two", "a"): ELSEWHERE, ("two", "b"): SAME, ("two", "c"): SAME}
    assert table_by_origin(rows, origin).splitlines()[2:] == [
        f"| two | {SAME} | avse | 2 | 1.500 | 0.700 | +2.00 |",
        f"| two | {SAME} | mixed | 2 | 1.500 | 0.700 | +0.00 |",
    ]
