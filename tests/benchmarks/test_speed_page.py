"""The generated pages on speed follow from the measurements, whichever of them exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avse.profiling.benchmark import StageTime
from avse.progress import Stage

pytest.importorskip("matplotlib")
import length
import speed_page
import speed_plots

ABOUT = {
    "seconds": 20.0, "repeat": 3, "date": "2026-01-02", "load_before": 0.25, "processor": "Chip", "num_threads": 2,
}  # fmt: skip


def size(real_time_factor: float) -> dict[str, Any]:
    taken = [
        StageTime(Stage.READ_AUDIO.value, 2.0, 1.0, "ffmpeg"),
        StageTime(Stage.DETECT.value, 4.0),
        StageTime(Stage.WRITE.value, 0.0),
    ]
    return ABOUT | {
        "stages": [each.as_dict(20.0, 10.0) for each in taken],
        "stages_seconds": 6.0,
        "minimum_seconds": 1.0,
        "times_minimum": 5.0,
        "duration_seconds": 20.0,
        "real_time_factor": real_time_factor,
        "net_times_real_time": 31.4,
        "macs_per_second": 8.8e10,
        "whole": {"peak_megabytes": 612.3},
        "start": {"avse_seconds": 4.5, "beyond_torch_seconds": 1.5},
    }


def faces(count: int, one: float, each: float) -> dict[str, Any]:
    return ABOUT | {"num_faces": count, "one": one, "all": each, "audio": 0.1}


def test_measurements_and_tables_of_earlier_versions_are_read(tmp_path: Path) -> None:
    part, table = tmp_path / "1 face.json", tmp_path / "mixtures.csv"
    part.write_text('{"sound": 0.1, "one": 0.2}')
    lines = ["two,avse,4.0", "two,avse without picture,1.0", "two,avse without video,2.0", "two,mixed,"]
    table.write_text("\n".join(["subset,method,si_sdr_improvement", *lines]))
    assert speed_page.read_part(part)["audio"] == 0.1
    assert speed_page.mean_gains([table]) == {"two": {"avse": 4.0, "avse without video": 1.5}}


FOUND = {
    "320x240": size(0.25),
    "640x360": size(0.5),
    "1 face": faces(1, 0.4, 0.5),
    "3 faces": faces(3, 0.6, 1.0),
    "folder": ABOUT | {"count": 20, "wall": 30.0, "cores": 2, "busy_share": 0.92},
    "others": ABOUT
    | {
        "ways": {"avse enhance": 0.5, "RNNoise (pyrnnoise)": 0.05},
        "gains": {"noise-5db": {"avse": 8.0, "RNNoise": 3.9}},
        "macs": {"avse": 1.5e9},
    },
    "earlier": ABOUT
    | {
        "commit": "abc123 of 2026-01-01",
        "sizes": {"640x360": {"now": 0.3, "earlier": 0.4, "cpu": {"now": 0.5, "earlier": 0.8}}},
    },
}


def test_the_page_states_what_follows_from_the_measurements() -> None:
    text = speed_page.page(FOUND)
    assert "threads: 2, on Chip, no GPU; system load before at most 0.2; 2026-01-02. " in text
    for line in (
        "| `avse enhance` | **0.250** | **0.500** |",
        "| times real time | 4.0 | 2.0 |",
        "| decode audio | 0.100 (0.050) | 0.100 (0.050) |",
        "| face detection | 0.200 | 0.200 |",
        "| all stages | 0.300 | 0.300 |",
        "| 1 | 0.400 | - | 0.500 | - | 0.100 |",
        "| 3 | 0.600 | 25% | 1.000 | 50% | 0.100 |",
        "| times the sum of minima | **5.00** | **5.00** |",
        "| RNNoise (pyrnnoise) | 0.0500 | 20.0 | 0.100 |",
        "| RNNoise (pyrnnoise) | 0.0500 | +3.9 |",
        "| ratio | **0.75** |",
        "| ratio, CPU time | **0.62** |",
    ):
        assert f"\n{line}\n" in text


@pytest.mark.parametrize("part", ["320x240", "1 face", "folder", "others", "earlier"])
def test_the_page_has_only_the_parts_that_were_measured(part: str) -> None:
    text = speed_page.page({part: FOUND[part]})
    sections = {
        "320x240": "## Video resolution", "1 face": "## Number of faces", "folder": "## Folders",
        "others": "## Other tools", "earlier": "## Compared with an earlier version",
    }  # fmt: skip
    assert [name for name, heading in sections.items() if heading in text] == [part]
    assert "images/speed.svg" not in text


def test_the_plots_are_the_same_for_the_same_measurements(tmp_path: Path) -> None:
    for name, plot in speed_plots.PLOTS.items():
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir(exist_ok=True)
            plot(FOUND, tmp_path / folder / name)
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    length.plot([length.Measured(1, 30.0, 40.0, 500.0), length.Measured(60, 1800.0, 2400.0, 510.0)], tmp_path / "c.svg")
    assert (tmp_path / "c.svg").read_text(encoding="utf-8").rstrip().endswith("</svg>")


def test_every_stage_is_in_one_group_of_the_plot() -> None:
    grouped = [name for names in speed_plots.GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(Stage)


def test_time_against_length_is_compared_with_a_straight_line() -> None:
    found = [
        length.Measured(0.5, 25.0, 20.0, 500.0),
        length.Measured(1, 40.0, 44.0, 505.0),
        length.Measured(2, 90.0, 65.0, 550.0),
    ]
    assert length.line(found) == pytest.approx((5.0, 0.5))
    text = length.page(found, "640:360", ".wav")
    assert "| 30 s | 500 MB | 25.0 s | 0.833 s | 0.667 s |" in text
    assert "CPU time is linear in the length: 5.0 s plus 0.500 s per second of recording, within 26%." in text
    assert "Peak memory of the longest recording is +10% compared with the shortest." in text


def test_methods_that_are_beaten_in_time_and_gain_are_not_joined() -> None:
    places = [(0.5, 8.0), (0.1, 4.0), (0.2, 3.0), (0.05, -1.0), (0.5, 2.0)]
    assert speed_plots.pareto(places) == [(0.05, -1.0), (0.1, 4.0), (0.5, 8.0)]
