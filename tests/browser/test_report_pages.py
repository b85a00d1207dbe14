"""The reports in a real browser: no requests, no errors, audio plays, tables sort, the page fits a phone.

Needs chromium and playwright: ``make test-browser``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_world import HOSTILE, batch_rows, made_rows, write_audio

from avse.reports.batch import batch_report
from avse.reports.enhancement import enhancement_report
from avse.reports.evaluation import evaluation_report

pytestmark = pytest.mark.browser

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write each report once: 60 items of which one failed, names with markup, audio files of which one is broken."""
    folder = tmp_path_factory.mktemp("reports")
    rows = made_rows(folder, 2)
    Path(rows[1]["estimate"]).write_text("This is no audio.")
    without_audio = {"mixture": None, "reference": None, "estimate": None}
    more = [
        row | without_audio | {"item": f"{row['item']}-{index} {HOSTILE}", "scores": {"si_sdr": -5.0 + index / 100}}
        for row in rows for index in range(5)
    ]  # fmt: skip
    more[-1] |= {"status": "failed", "reason": HOSTILE, "scores": None}
    evaluation_report([*rows, *more], {"versions": {"avse": "1"}}, folder / "evaluation.html")
    before, after = write_audio(folder / "in.wav", 20.0), write_audio(folder / "out.wav", 20.0)
    facts = {"duration_seconds": 20.0, "sample_rate": 48000, "num_faces": 1, "seen_share": 0.5, "elapsed_seconds": 1.0}
    enhancement_report(facts, before, after, folder / "enhancement.html", {}, [(0.0, 1.5)])
    batch_report(batch_rows(), {"elapsed_seconds": 25.0}, folder / "batch.html")
    return folder


@pytest.fixture
def visit(browser: Any, folder: Path) -> Iterator[Any]:
    """Open a report; at the end, there must be no message on the console and no request."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_page(name: str, size: dict[str, int] = DESK, scheme: str = "light", **options: Any) -> Any:
        context = browser.new_context(viewport=size, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((folder / f"{name}.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert {address.partition(":")[0] for address in asked} <= {"file", "data"}
    assert all(address.endswith(".html") for address in asked if address.startswith("file:"))


EVERY = pytest.mark.parametrize("name", ["evaluation", "enhancement", "batch"])
SECONDS_PLAYED = """audio => new Promise((done, fail) => {
    const first = audio.currentTime;
    audio.addEventListener("timeupdate", () => { if (audio.currentTime > first + 0.1) done(audio.currentTime); });
    setTimeout(() => fail(new Error("it does not play")), 20000); })"""


def names_in_table(page: Any) -> list[str]:
    return page.locator("#table-items tbody tr:visible td:first-child").all_inner_texts()


@EVERY
@pytest.mark.parametrize("size", [PHONE, DESK])
def test_page_is_as_wide_as_the_screen(visit: Any, name: str, size: dict[str, int]) -> None:
    page = visit(name, size)
    for box in page.locator("details").all():
        box.evaluate("box => { box.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    wide = """() => [...document.querySelectorAll("main *")].filter(one => !one.closest(".scroll, svg"))
        .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide) == []


@EVERY
def test_light_and_dark(visit: Any, name: str) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = visit(name), visit(name, scheme="dark")
    colours = light.evaluate(paper), dark.evaluate(paper)
    assert [sum(map(int, colour.strip("rgb()").split(","))) > 384 for colour in colours] == [True, False]
    light.locator("#theme").press("Enter")
    dark.locator("#theme").click()
    assert (light.evaluate(paper), dark.evaluate(paper)) == colours[::-1]
    light.reload()
    assert light.evaluate(paper) == colours[1]


@EVERY
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out(visit: Any, name: str, scheme: str) -> None:
    """At least 4.5 : 1 (WCAG 2.1, 1.4.3) for text on the colour of the paper."""
    page = visit(name, scheme=scheme)
    colours = page.evaluate("""() => ["--paper", "--raised", "--ink", "--soft", "--accent", "--bad"].map(name => {
        const box = document.createElement("i"); box.style.color = `var(${name})`; document.body.append(box);
        return getComputedStyle(box).color.match(/[\\d.]+/g).slice(0, 3).map(Number); })""")
    values = (np.array(colours) / 255 + 0.055) / 1.055
    light = np.where(np.array(colours) / 255 <= 0.04045, np.array(colours) / 255 / 12.92, values**2.4)
    level = light @ [0.2126, 0.7152, 0.0722] + 0.05
    for text in level[2:]:
        for ground in level[:2]:
            assert max(text, ground) / min(text, ground) >= 4.5


def test_every_player_of_an_item_plays(visit: Any) -> None:
    page = visit("enhancement")
    for audio in page.locator("audio").all():
        audio.evaluate("audio => audio.play()")
        assert audio.evaluate(SECONDS_PLAYED) > 0.1
        assert abs(audio.evaluate("audio => audio.duration") - 20.0) < 0.06
        assert audio.evaluate("audio => audio.error") is None


def test_players_of_opened_items_know_their_length(visit: Any) -> None:
    page = visit("evaluation")
    box = page.locator("details", has=page.locator("audio")).first
    box.locator("summary").press("Enter")
    page.wait_for_function("() => [...document.querySelectorAll('details[open] audio')].every(a => a.duration > 0)")
    assert box.locator("audio").count() >= 3
    assert box.locator("audio").last.evaluate("async audio => { await audio.play(); return audio.error; }") is None


def test_one_player_at_a_time_and_at_the_same_moment(visit: Any) -> None:
    page = visit("enhancement")
    before, after = page.locator("audio").all()
    before.evaluate("async audio => { await audio.play(); audio.currentTime = 10; }")
    after.evaluate("audio => audio.play()")
    assert 10 <= after.evaluate(SECONDS_PLAYED) < 20
    assert before.evaluate("audio => audio.paused")
    assert page.locator(".playhead:visible").count() == 2


def test_click_into_a_spectrogram_plays_from_there(visit: Any) -> None:
    page = visit("enhancement")
    lanes = page.locator(".lanes").first
    box = lanes.bounding_box()
    lanes.click(position={"x": box["width"] / 2, "y": 20})
    audio = page.locator("audio").first
    assert 9.9 < audio.evaluate(SECONDS_PLAYED) < 20
    assert not audio.evaluate("audio => audio.paused")


def test_table_sorts_both_ways_with_missing_scores_last(visit: Any) -> None:
    page = visit("evaluation")
    page.locator(".more").click()
    header = page.locator("#table-items th").filter(has_text="SI-SDR dB")

    def shown() -> list[str]:
        texts = page.locator("#table-items tbody tr:visible td:nth-child(7)").all_inner_texts()
        return [text.replace("\N{MINUS SIGN}", "-") for text in texts]

    for direction, sign in (("descending", -1), ("ascending", 1)):
        header.locator("button").press("Enter")
        assert header.get_attribute("aria-sort") == direction
        cells = shown()
        numbers = [float(cell) for cell in cells[:-1]]
        assert cells[-1] == "\N{EN DASH}"
        assert numbers == sorted(numbers, key=lambda value: sign * value)
        assert len(numbers) == 71


def test_table_shows_more_and_searches(visit: Any) -> None:
    page = visit("evaluation")
    assert len(names_in_table(page)) == 50
    search = page.get_by_role("searchbox")
    search.fill("TALKERS avse-ao item-01-3")
    assert len(names_in_table(page)) == 1
    assert page.locator("output").inner_text() == "1 of 1 rows, 72 in all"
    search.fill("<img")
    assert page.locator("output").inner_text() == "50 of 60 rows, 72 in all"
    search.fill("nowhere")
    assert names_in_table(page) == []
    search.fill("")
    page.get_by_role("button", name="Show more rows").click()
    assert len(names_in_table(page)) == 72


def test_all_is_reached_by_the_keyboard(visit: Any) -> None:
    page = visit("batch")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.innerText || document.activeElement.type"
            )
        )
    for wanted in ("Skip to the report", "theme", "Failures", "search", "Length, s", "a.mp4"):
        assert wanted in reached


def test_page_without_script_shows_every_row(visit: Any) -> None:
    page = visit("evaluation", java_script_enabled=False)
    assert page.locator("#table-items tbody tr").count() == 72
    assert page.locator("#table-items tbody tr:visible").count() == 72
