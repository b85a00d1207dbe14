"""Take the screenshot of ``avse ui`` in README: a recording, its face, and the result of the default model.

Needs chromium and the extras ``ui`` and ``browser``: python benchmarks/ui_picture.py RECORDING -o docs/images/ui.png
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

SIZE = {"width": 1000, "height": 900}
WIDTH = 800
TIMEOUT_MS = 300_000


@contextmanager
def serving(recording: Path) -> Iterator[str]:
    """Run ``avse ui`` and yield its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [Path(sys.executable).with_name("avse"), "ui", recording, "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[0]
        finally:
            server.terminate()


def take(url: str, target: Path) -> None:
    """Enhance the recording that is open at ``url``, and write the whole page as PNG, 800 pixels wide."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(url)
        page.get_by_role("button", name="Enhance", exact=True).click()
        page.locator(".avse-player[data-ready]").wait_for()
        page.locator(".avse-player video").evaluate("one => { one.currentTime = 1.5; }")
        page.wait_for_function("() => document.querySelector('.avse-player video').readyState >= 2")
        page.screenshot(path=target, full_page=True)
        browser.close()
    whole = Image.open(target)
    whole.resize((WIDTH, round(whole.height * WIDTH / whole.width))).quantize(256).save(target, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    with serving(arguments.recording) as url:
        take(url, arguments.output)


if __name__ == "__main__":
    main()
