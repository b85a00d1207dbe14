"""Reports: all that was measured is in them, nothing is loaded, and no name becomes markup."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from report_world import HOSTILE, Page, batch_rows, made_rows, write_audio

from avse.reports.batch import batch_report
from avse.reports.enhancement import enhancement_report
from avse.reports.evaluation import evaluation_report

SUMMARY = {"seed": 3, "versions": {"avse": "1", "torch": "2"}, "scores": [{"method": "avse"}]}
RESULT = {
    "input": "in.mp4", "output": "out.wav", "model": "avse", "duration_seconds": 1.0, "sample_rate": 16000,
    "num_channels": 1, "num_faces": 2, "speaker": 1, "seen_share": 0.75, "elapsed_seconds": 0.5,
    "note": "Face seen 75% of the time.", "scores": {}, "real_time_factor": 0.5,
}  # fmt: skip


def png() -> bytes:
    file = io.BytesIO()
    Image.new("L", (8, 8), 200).save(file, "PNG")
    return file.getvalue()


def write_evaluation(folder: Path, name: str = "report.html") -> Path:
    return evaluation_report(made_rows(folder), SUMMARY, folder / name)


def write_enhancement(folder: Path, name: str = "report.html") -> Path:
    before, after = write_audio(folder / "in.wav"), write_audio(folder / "out.wav")
    return enhancement_report(RESULT, before, after, folder / name, {1: png()}, [(0.0, 0.5), (0.75, 1.04), (2.0, 3.0)])


def write_batch(folder: Path, name: str = "report.html") -> Path:
    return batch_report(batch_rows(), {"elapsed_seconds": 25.0, "recording_seconds": 50.0}, folder / name)


Write = Callable[..., Path]


@pytest.fixture(scope="module", params=[write_evaluation, write_enhancement, write_batch])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Write, Path]:
    """Each kind of report, written once, and how."""
    return request.param, request.param(tmp_path_factory.mktemp("report"))


@pytest.fixture
def page(written: tuple[Write, Path]) -> Page:
    return Page(written[1])


# Every report -------------------------------------------------------------------------------------------------------


def test_loads_nothing(page: Page) -> None:
    for tag, address in page.addresses:
        allowed = ("#", "./") if tag == "a" else ("data:",)
        assert address.startswith(allowed), (tag, address)
    style = "".join(page.texts["style"])
    assert "url(" not in style
    assert "@import" not in style
    for word in ("fetch(", "XMLHttpRequest", "WebSocket", "import(", "sendBeacon"):
        assert word not in "".join(page.texts["script"])
    assert not re.search(r"https?://", page.source)


def test_policy_lets_only_its_own_script_run(page: Page) -> None:
    (policy,) = [values["content"] for values in page.all("meta") if values.get("http-equiv")]
    assert "default-src 'none'" in policy
    (script,) = re.findall(r"<script>(.*?)</script>", page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert re.search(r"script-src ([^;]*)", policy)[1] == f"'sha256-{digest}'"  # type: ignore[index]


def test_page_has_its_title(page: Page) -> None:
    assert page.source.startswith("<!doctype html>")
    assert page.all("html")[0]["lang"] == "en"
    assert page.texts["title"][0].strip()
    assert page.source.index("<title>") < page.source.index("<body>")
    assert len(page.all("h1")) == 1
    names = [values["id"] for _, values in page.tags if "id" in values]
    assert len(names) == len(set(names))
    for values in page.all("a"):
        if values["href"].startswith("#"):
            assert values["href"][1:] in names
    assert all(values.get("alt") for values in page.all("img"))
    assert all(values.get("aria-label") for values in page.all("audio"))


def test_same_input_gives_the_same_bytes(written: tuple[Write, Path]) -> None:
    write, path = written
    assert write(path.parent, "again.html").read_bytes() == path.read_bytes()


def test_only_the_page_is_left(written: tuple[Write, Path]) -> None:
    write, path = written
    assert path.name == "report.html"
    with pytest.raises(OSError, match="missing"):
        write(path.parent, "missing/report.html")
    assert not list(path.parent.rglob(".*"))


def assert_only_text(path: Path, num_times: int) -> None:
    """The hostile name is there, to be read, and made no element and no attribute."""
    page = Page(path)
    assert page.text.count(HOSTILE) >= num_times
    assert not [values for _, values in page.tags if any(name.startswith("on") for name in values)]
    assert not [values for values in page.all("img") if values["src"] == "x"]
    assert len(page.all("script")) == 1


def test_hostile_names_in_an_evaluation_stay_text(tmp_path: Path) -> None:
    rows = made_rows(tmp_path, 2)
    for row in rows:
        row |= {"item": f"{row['item']} {HOSTILE}", "subset": f"{row['subset']} {HOSTILE}"}
        row |= {"method": f"avse {HOSTILE}"} if row["method"] == "avse" else {}
    rows[1] |= {"status": "failed", "reason": {HOSTILE: HOSTILE}}
    rows[2] |= {"estimate": str(tmp_path / HOSTILE)}
    assert_only_text(evaluation_report(rows, {HOSTILE: {"x": HOSTILE}}, tmp_path / "report.html"), 30)


def test_hostile_names_in_an_enhancement_stay_text(tmp_path: Path) -> None:
    recording = write_audio(tmp_path / "in.wav").rename(tmp_path / HOSTILE)
    result = RESULT | {"input": recording, "output": HOSTILE, "model": HOSTILE, "note": HOSTILE}
    result |= {"scores": {"reasons": {HOSTILE: {HOSTILE: HOSTILE}}}}
    assert_only_text(enhancement_report(result, recording, tmp_path / "no", tmp_path / "report.html"), 6)


def test_hostile_names_in_a_batch_stay_text(tmp_path: Path) -> None:
    rows = batch_rows()
    rows[0] |= {"item": HOSTILE, "output": HOSTILE}
    rows[2] |= {"item": HOSTILE, "error": HOSTILE, "hint": HOSTILE}
    assert_only_text(batch_report(rows, {"model": HOSTILE}, tmp_path / "report.html"), 6)


# Enhancement --------------------------------------------------------------------------------------------------------


def test_enhancement_shows_before_after_the_face_and_when_it_is_visible(tmp_path: Path) -> None:
    page = Page(write_enhancement(tmp_path))
    assert len(page.all("audio")) == 2
    assert sum("wave" in values.get("class", "") for values in page.all("svg")) == 2
    assert [values["src"] for values in page.all("img")][
        -1
    ] == f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    assert [(values["x"], values["width"]) for values in page.all("rect")] == [("0.00", "500.00"), ("750.00", "250.00")]
    assert "Visible from 0.0 s to 0.5 s, 0.8 s to 1.0 s." in page.text
    assert "Face seen 75% of the time." in page.text


def test_scores_before_and_after(tmp_path: Path) -> None:
    recording = write_audio(tmp_path / "in.wav")
    scores: dict[str, Any] = {"before": {"pesq_wb": 1.25, "si_sdr": 0.5}, "after": {"pesq_wb": 2.0, "si_sdr": 7.0}}
    scores |= {"reasons": {"after": {"stoi": "too short"}}}
    page = Page(enhancement_report(RESULT | {"scores": scores}, recording, recording, tmp_path / "report.html"))
    assert [cell for cell in page.texts["td"] if cell.strip()][:2] == ["1.25", "2.00"]
    assert {"+0.75", "+6.5"} <= set(page.texts["b"])
    assert "stoi, after: too short" in page.text


def test_only_the_first_minute_of_a_long_recording_is_held(tmp_path: Path) -> None:
    recording = write_audio(tmp_path / "long.wav", 70.0)
    page = Page(enhancement_report({}, recording, recording, tmp_path / "report.html"))
    assert page.text.count("The player contains the first 1 min 00 s of 1 min 10 s.") == 2


def test_enhancement_without_facts_or_audio_gives_a_page(tmp_path: Path) -> None:
    page = Page(enhancement_report({}, tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "report.html"))
    assert page.text.count("There is no file") == 2
    assert page.all("audio") == []
