"""The page of ``avse ui`` in a real browser: from the upload to the download; nothing is asked of another machine.

Needs chromium and playwright: ``make test-browser``. The check of accessibility needs axe-core, where AXE_CORE names
its axe.min.js: ``npm install axe-core``.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from recordings import ffmpeg
from ui_server import Running, serving

import avse
from avse.data.synthetic.clips import make_clip

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 800}
DESK = {"width": 1280, "height": 900}
PATIENCE = 120_000
SEEN = "<img src=x onerror=alert(1)>.mp4"


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two talking heads side by side, each with a voice of its own."""
    folder = tmp_path_factory.mktemp("panel")
    heads = [folder / f"{seed}.mp4" for seed in (0, 1)]
    for seed, head in enumerate(heads):
        make_clip(head, 4.0, seed)
    mixed = "[0:v][1:v]hstack[v];[0:a][1:a]amix=normalize=0[a]"
    path = folder / "panel of two.mp4"
    ffmpeg("-i", heads[0], "-i", heads[1], "-filter_complex", mixed, "-map", "[v]", "-map", "[a]", path)
    return path


@pytest.fixture(scope="module")
def running(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for all tests."""
    pytest.importorskip("gradio")
    with serving(tmp_path_factory.mktemp("server"), "--model", tiny_model) as server:
        yield server
    assert set(server.asked()) <= {"127.0.0.1", "localhost", "::1"}
    assert list(server.folder.iterdir()) == []


@pytest.fixture
def visit(browser: Any, running: Running) -> Iterator[Any]:
    """Open the page; at the end there must be no request to another machine and no error."""
    asked: list[str] = []
    said: list[str] = []
    contexts = []

    def open_page(size: dict[str, int] = DESK, scheme: str = "light", url: str = running.url) -> Any:
        context = browser.new_context(viewport=size, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.locator("input[type=file]").wait_for(state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    foreign = [url for url in asked if not url.startswith((running.url, "data:", f"blob:{running.url}"))]
    assert (foreign, said) == ([], [])
    assert asked


def upload(page: Any, path: Path) -> None:
    page.set_input_files("input[type=file]", path)


def button(page: Any, name: str) -> Any:
    return page.get_by_role("button", name=name, exact=True)


def enhance(page: Any, path: Path, face: int | None = None) -> None:
    """Upload, choose a face alone, enhance."""
    upload(page, path)
    choose(page, face)
    button(page, "Enhance").click()
    page.locator(".avse-player[data-ready]").wait_for()


def choose(page: Any, face: int | None) -> None:
    button(page, "Enhance").wait_for()
    if face:
        for card in page.locator(".cards [data-face]").all():
            is_wanted = card.get_attribute("data-face") == str(face)
            if (card.get_attribute("aria-pressed") == "true") != is_wanted:
                card.click()
        pressed = "[...document.querySelectorAll('.cards [aria-pressed=true]')].map(one => one.dataset.face).join()"
        page.wait_for_function(f"face => {pressed} == face", arg=str(face))


def download(page: Any, target: Path, suffix: str = ".wav") -> Path:
    page.get_by_label("Format").click()
    page.get_by_role("option", name=re.compile(rf"\{suffix}$")).click()
    button(page, "Create the file").click()
    link = page.locator(f".avse-link a[download$='{suffix}']")
    link.wait_for()
    with page.expect_download() as started:
        link.click()
    started.value.save_as(target)
    return target


def left_over(running: Running) -> list[str]:
    """Names of the files of all visitors, but for the uploads that Gradio keeps for a while."""
    (folder,) = running.folder.glob("avse-ui-*")
    return [path.name for path in folder.rglob("*") if path.is_file() and "uploads" not in path.parts]


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def gain(page: Any) -> dict[str, float]:
    return {name: round(value, 3) for name, value in page.locator(".avse-player").evaluate("one => one.mix").items()}


def test_choose_the_second_face_enhance_and_get_what_the_command_writes(
    visit: Any, panel: Path, tiny_model: Path, tmp_path: Path
) -> None:
    page = visit()
    enhance(page, panel, 2)
    left, right = sorted(page.locator(".frame [data-face]").all(), key=lambda one: one.bounding_box()["x"])
    assert left.bounding_box()["x"] + left.bounding_box()["width"] < right.bounding_box()["x"]
    avse.enhance(panel, tmp_path / "expected.wav", model=str(tiny_model), speaker=2)
    avse.enhance(panel, tmp_path / "other.wav", model=str(tiny_model), speaker=1)
    made = download(page, tmp_path / "made.wav")
    assert made.read_bytes() == (tmp_path / "expected.wav").read_bytes()
    assert made.read_bytes() != (tmp_path / "other.wav").read_bytes()
    video = download(page, tmp_path / "made.mkv", ".mkv")
    assert ffmpeg("-i", video, "-map", "0:V", "-c", "copy", "-f", "md5", "-") == ffmpeg(
        "-i", panel, "-map", "0:V", "-c", "copy", "-f", "md5", "-"
    )
    report = download(page, tmp_path / "report.html", ".html")
    assert "panel of two.mp4, enhanced" in report.read_text()


def test_everyone_is_one_click(visit: Any, panel: Path, tiny_model: Path, tmp_path: Path) -> None:
    page = visit()
    upload(page, panel)
    button(page, "Everyone who speaks").click()
    page.wait_for_function("() => document.querySelectorAll('.cards [aria-pressed=true]').length == 2")
    button(page, "Enhance").click()
    page.locator(".avse-player[data-ready]").wait_for()
    avse.enhance(panel, tmp_path / "expected.wav", model=str(tiny_model), speaker="everyone")
    assert download(page, tmp_path / "made.wav").read_bytes() == (tmp_path / "expected.wav").read_bytes()


def test_players_switch_at_the_same_moment_and_strength_applies_at_once(visit: Any, panel: Path) -> None:
    page = visit()
    enhance(page, panel, 1)
    assert gain(page) == {"before": 0, "after": 1}
    audio, video = page.locator(".avse-player audio"), page.locator(".avse-player video")
    assert video.evaluate("one => one.videoWidth") == 640
    audio.evaluate("async one => { one.currentTime = 1; await one.play(); }")
    page.wait_for_function("() => document.querySelector('.avse-player audio').currentTime > 1.3")
    before = audio.evaluate("one => one.currentTime")
    page.get_by_role("radio", name="Before").check()
    assert gain(page) == {"before": 1, "after": 0}
    after, paused = audio.evaluate("one => [one.currentTime, one.paused]")
    assert before <= after < before + 1.5
    assert not paused
    page.wait_for_function("""() => { const root = document.querySelector(".avse-player");
        return Math.abs(root.querySelector("video").currentTime - root.querySelector("audio").currentTime) < 0.2; }""")
    page.get_by_role("radio", name="After").check()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    slider = page.locator("#avse-strength input[type=range]")
    slider.focus()
    for _ in range(25):
        slider.press("ArrowLeft")
    assert gain(page) == {"before": 0.25, "after": 0.75}
    assert [url for url in asked if "queue/join" in url] == []
    audio.evaluate("one => one.pause()")


def test_what_is_played_is_the_mixture_of_both_channels(visit: Any, panel: Path) -> None:
    page = visit()
    enhance(page, panel, 1)
    levels = page.locator(".avse-player").evaluate("""async root => {
        const audio = root.querySelector("audio"), found = [];
        await audio.play();
        for (const side of ["before", "after"]) {
            root.querySelector(`[value=${side}]`).click();
            const meter = root.context.createAnalyser(); meter.fftSize = 32768;
            for (const gain of Object.values(root.gains)) gain.connect(meter);
            audio.currentTime = 0.5;
            await new Promise(done => setTimeout(done, 1500));
            const samples = new Float32Array(meter.fftSize); meter.getFloatTimeDomainData(samples);
            found.push(Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length));
        }
        audio.pause();
        return found; }""")
    assert levels[0] > 0.01
    assert levels[1] > 0
    assert levels[0] != levels[1]


def test_cancel_leaves_nothing_and_the_work_can_be_repeated(visit: Any, running: Running, panel: Path) -> None:
    page = visit()
    upload(page, panel)
    button(page, "Cancel").click()
    page.get_by_text("Cancelled; nothing was kept.").wait_for()
    assert button(page, "Enhance").count() == 0
    page.reload()
    page.locator("input[type=file]").wait_for(state="attached")
    wait_for(lambda: left_over(running) == [])
    upload(page, panel)
    button(page, "Enhance").click()
    button(page, "Cancel").click()
    page.get_by_text("Cancelled; nothing was kept.").wait_for()
    assert left_over(running) == ["panel of two.mp4"]
    assert not page.locator(".avse-player").is_visible()
    button(page, "Enhance").click()
    page.locator(".avse-player[data-ready]").wait_for()


def test_closed_page_takes_its_files_along(visit: Any, running: Running, panel: Path) -> None:
    page = visit()
    enhance(page, panel, 1)
    assert "voice.w64" in left_over(running)
    page.context.close()
    wait_for(lambda: left_over(running) == [])


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty."), (b"no video", "not a recording")])
def test_broken_file_gives_two_lines(visit: Any, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "broken.mp4").write_bytes(content)
    page = visit()
    upload(page, tmp_path / "broken.mp4")
    alert = page.locator(".avse-failure")
    alert.wait_for()
    lines = alert.inner_text().splitlines()
    assert len(lines) == 2
    assert said in lines[0]
    assert "/tmp" not in alert.inner_text()
    assert not button(page, "Enhance").is_visible()


def test_hostile_name_is_text(visit: Any, tmp_path: Path, clip: Path) -> None:
    hostile = tmp_path / SEEN
    hostile.write_bytes(clip.read_bytes())
    page = visit()
    enhance(page, hostile)
    assert page.locator("img[src=x]").count() == 0
    report = download(page, tmp_path / "report.html", ".html")
    assert "<img src=x" not in report.read_text()
    hostile.write_bytes(b"no video")
    page.reload()
    page.locator("input[type=file]").wait_for(state="attached")
    upload(page, hostile)
    page.locator(".avse-failure").wait_for()
    assert page.locator("img[src=x]").count() == 0


def test_audio_without_video_works_and_is_reported(visit: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "voice.wav", 0.1 * rng.standard_normal(32000), 16000)
    page = visit()
    upload(page, tmp_path / "voice.wav")
    page.get_by_text("There is no video").first.wait_for()
    assert not page.locator(".cards").is_visible()
    button(page, "Enhance").click()
    page.locator(".avse-player[data-ready]").wait_for()
    assert page.locator(".avse-player video").count() == 0
    assert download(page, tmp_path / "made.flac", ".flac").stat().st_size > 1000


def test_two_visitors_are_queued_and_not_mixed(visit: Any, panel: Path, clip: Path, tmp_path: Path) -> None:
    one, other = visit(), visit()
    upload(one, panel)
    upload(other, clip)
    button(other, "Enhance").wait_for()
    button(one, "Enhance").wait_for()
    assert one.locator(".cards [data-face]").count() == 2
    assert other.locator(".cards [data-face]").count() == 1
    button(one, "Enhance").click()
    button(other, "Enhance").click()
    for page in (one, other):
        page.locator(".avse-player[data-ready]").wait_for()
    seconds = [soundfile.info(download(page, tmp_path / f"{k}.wav")).duration for k, page in enumerate((one, other))]
    assert seconds == [pytest.approx(4.0, abs=0.1), pytest.approx(1.28, abs=0.1)]


def test_recording_of_the_command_is_shown_at_once(browser: Any, tiny_model: Path, clip: Path, tmp_path: Path) -> None:
    with serving(tmp_path, clip, "--model", tiny_model) as server:
        page = browser.new_page()
        page.goto(server.url)
        button(page, "Enhance").click(timeout=PATIENCE)
        page.locator(".avse-player[data-ready]").wait_for(timeout=PATIENCE)
        page.wait_for_function("() => document.querySelector('.avse-player video').videoWidth == 320")
        page.close()
    assert clip.exists()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_appearance(visit: Any, panel: Path, size: dict[str, int], scheme: str, tmp_path: Path) -> None:
    """Wide as the screen, in both schemes, reachable by keyboard, without a serious violation in axe-core."""
    page = visit(size, scheme)
    screenshots = Path(os.environ.get("UI_SCREENSHOTS", tmp_path))
    name = f"{scheme}-{size['width']}"
    enhance(page, panel, 1)
    page.locator(".avse-player video").evaluate("one => { one.currentTime = 1; }")
    page.screenshot(path=screenshots / f"{name}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper.strip("rgb()").split(",")[:3])) > 384) == (scheme == "light")
    check_keyboard(page)
    check_alignment(page)
    axe = Path(os.environ.get("AXE_CORE", "node_modules/axe-core/axe.min.js"))
    if not axe.is_file():
        pytest.skip("no axe-core here: npm install axe-core, and AXE_CORE=its axe.min.js")
    page.evaluate(axe.read_text())
    found = page.evaluate("axe.run().then(all => all.violations.map(one => [one.impact, one.id, one.nodes[0].html]))")
    assert [one for one in found if one[0] in ("serious", "critical")] == []


def check_keyboard(page: Any) -> None:
    """Everything that can be done is reached by the tabulator."""
    reached = set()
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("""() => { const one = document.activeElement;
                return one.dataset.face ? "face" : one.innerText?.trim() || one.type || one.tagName; }""")
        )
    assert {"face", "Enhance", "radio", "range", "Create the file"} <= reached


def check_alignment(page: Any) -> None:
    """All parts begin at one left edge, all cards are of one height, and no number hides a face."""
    lefts, heights = page.evaluate("""() => {
        const all = selector => [...document.querySelectorAll(selector)].map(one => one.getBoundingClientRect());
        const parts = all("h1, h2, .avse-player, .avse-faces, #avse-strength, #avse-save, .gradio-container .primary");
        return [parts.map(box => box.left), all(".cards button").map(box => box.height)]; }""")
    assert max(lefts) - min(lefts) < 2  # one pixel of border
    assert max(heights) - min(heights) < 1
    for box in page.locator(".frame [data-face]").all():
        number = box.locator("b").bounding_box()
        assert number["y"] + number["height"] <= box.bounding_box()["y"] + 4
