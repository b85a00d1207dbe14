"""The report of a batch: failures first, throughput, links and scores."""

from __future__ import annotations

from pathlib import Path

from report_world import Page, batch_rows

from avse.reports.batch import batch_report


def write_batch(folder: Path, name: str = "report.html") -> Path:
    return batch_report(batch_rows(), {"elapsed_seconds": 25.0, "recording_seconds": 50.0}, folder / name)


def test_batch_lists_failures_first(tmp_path: Path) -> None:
    page = Page(write_batch(tmp_path))
    assert [cells[0] for cells in page.rows] == ["c/broken.mp4", "a.mp4", "d.mp4", "b.mp4"]
    assert page.rows[0][1] == "failed: no audio"
    assert "Give another." in page.text
    assert "1 of 4 failed" in page.texts["title"][0]


def test_batch_reports_the_throughput(tmp_path: Path) -> None:
    page = Page(write_batch(tmp_path))
    assert "2.0 \N{MULTIPLICATION SIGN}" in page.texts["b"]
    assert "50.0 s" in page.texts["b"]


def test_batch_leads_to_outputs_beside_it_and_nowhere_else(tmp_path: Path) -> None:
    links = [values["href"] for values in Page(write_batch(tmp_path)).all("a")]
    assert [link for link in links if not link.startswith("#")] == ["./a.wav", "./b%20c%23.wav"]


def test_batch_with_scores_shows_the_gain(tmp_path: Path) -> None:
    rows = batch_rows()
    rows[0]["scores"] = {"before": {"si_sdr": 1.0, "pesq_wb": 1.5}, "after": {"si_sdr": 4.0, "pesq_wb": 2.5}}
    rows[3]["scores"] = {"reason": "The reference d.wav is missing."}
    page = Page(batch_report(rows, {}, tmp_path / "report.html"))
    assert page.rows[1][-3:] == ["2.50", "4.0", "+3.0"]
    assert "done: The reference d.wav is missing." in page.rows[2]


def test_batch_lists_what_outputs_lack(tmp_path: Path) -> None:
    rows = batch_rows()
    rows[3]["losses"] = ["Left out: subtitles."]
    text = Page(batch_report(rows, {}, tmp_path / "report.html")).text
    assert "Left out: subtitles." in text
    assert 'href="#left-out"' not in Page(write_batch(tmp_path)).source


def test_empty_batch_gives_a_page(tmp_path: Path) -> None:
    assert Page(batch_report([], {}, tmp_path / "report.html")).rows == []
