"""The server: its address, what it serves and refuses; no requests to other machines."""

from __future__ import annotations

import http.client
import math
import os
import re
import signal
import socket
import sys
import urllib.request
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from typer.testing import CliRunner
from ui_server import PATIENCE_SECONDS, free_port, serving

from avse.errors import MissingError, UsageError
from avse.installation import install_hint
from avse.io.ffmpeg import Limits
from avse.ui import server
from avse_cli.main import app

needs_gradio = pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed")


def get(url: str, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(url.split("/")[2], timeout=120)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")


def ask(url: str, method: str, path: str, headers: dict[str, str], body: str | None = None) -> int:
    """Return the status of the answer to a request."""
    with closing(http.client.HTTPConnection(url.split("/")[2], timeout=120)) as connection:
        connection.request(method, path, body, headers)
        return connection.getresponse().status


@needs_gradio
def test_page_is_served_on_this_machine_alone_and_names_no_other(tiny_model: Path, clip: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "--model", tiny_model) as running:
        assert running.url.startswith("http://127.0.0.1:")
        status, page = get(running.url, "/")
        assert status == 200
        assert re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']((?:https?:)?//[^\"']+)", page) == []
        assert "fonts.googleapis" not in page
        for path in (clip, Path("/etc/passwd"), tmp_path):
            assert get(running.url, f"/gradio_api/file={quote(str(path))}")[0] in (403, 404)
        assert [path.name.startswith("avse-ui-") for path in running.folder.iterdir()] == [True]
        assert set(running.asked()) <= {"127.0.0.1", "localhost", "::1"}
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(PATIENCE_SECONDS) == 143
    assert list(running.folder.iterdir()) == []
    assert running.errors() == "avse: interrupted; no incomplete file was left.\n"


@needs_gradio
def test_other_sites_are_refused_and_the_page_itself_is_served(tiny_model: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "--model", tiny_model) as running:
        own = f"http://{running.url.split('/')[2]}"
        boundary = "--x\r\nContent-Disposition: form-data; name=files; filename=a.wav\r\n\r\nx\r\n--x--\r\n"
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        upload = "/gradio_api/upload"
        assert ask(running.url, "GET", "/", {"Host": "evil.example"}) == 403
        assert ask(running.url, "POST", upload, form | {"Origin": "http://evil.example"}, boundary) == 403
        assert not list(running.folder.rglob("*.wav"))
        assert ask(running.url, "GET", "/", {"Origin": own}) == 200
        assert ask(running.url, "POST", upload, form | {"Origin": own}, boundary) == 200
        assert list(running.folder.rglob("*.wav"))
        assert ask(running.url, "GET", "/gradio_api/heartbeat/x", {"Origin": own}) == 200


@needs_gradio
def test_proxy_of_the_network_is_not_asked_for_the_page(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, scheme in (("http_proxy", "http"), ("HTTP_PROXY", "http"), ("ALL_PROXY", "socks5")):
        monkeypatch.setenv(name, f"{scheme}://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    with serving(tmp_path, "--model", tiny_model) as running:
        assert running.url, running.errors()
        assert get(running.url, "/")[0] == 200


def test_proxy_settings_are_as_before_after_the_page_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with server.no_proxies():
        assert urllib.request.getproxies()["no"] == "*"
    assert (os.environ["NO_PROXY"], os.environ.get("no_proxy")) == ("intranet.example", None)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
    except OSError:
        return False
    return True


@needs_gradio
@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]", "::"])
def test_page_at_an_ipv6_address(tiny_model: Path, tmp_path: Path, host: str) -> None:
    with serving(tmp_path, "--model", tiny_model, "--host", host) as running:
        assert running.url.startswith("http://[::1]:"), running.errors()
        assert get(running.url, "/")[0] == 200
        assert ("no password" in running.errors()) == (host == "::")


def test_host_that_is_no_address_is_reported() -> None:
    with pytest.raises(UsageError, match=r"cannot be served at a\.\.b"):
        server.serve(host="a..b")


@pytest.mark.parametrize(("megabytes", "num_bytes"), [(0.5, 500_000), (math.inf, None), (1e305, None)])
def test_size_of_uploads_is_limited_unless_the_limit_is_infinite(megabytes: float, num_bytes: int | None) -> None:
    assert server.max_upload_bytes(Limits(max_megabytes=megabytes)) == num_bytes


def test_taken_port_is_reported_before_any_work() -> None:
    with socket.socket() as listener:
        listener.bind((server.LOCAL, 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1, port {port}: Address already in use"):
            server.serve(model="no such model", port=port)


def test_missing_recording_is_reported_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        server.serve(tmp_path / "none.mp4", model="no such model")


def test_missing_gradio_is_reported(monkeypatch: pytest.MonkeyPatch, tiny_model: Path) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "avse.ui.page", raising=False)
    with pytest.raises(MissingError, match="Gradio") as caught:
        server.serve(model=str(tiny_model))
    assert caught.value.hint == install_hint("ui")


def test_command_passes_its_options_on(monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, Any] = {}

    def serve(recording: Path | None, **settings: Any) -> None:
        called.update(settings, recording=recording)
        settings["on_ready"]("http://there/")

    monkeypatch.setattr(server, "serve", serve)
    port = free_port()
    done = CliRunner().invoke(
        app, ["ui", "video.mp4", "--port", str(port), "--max-seconds", "5", "--no-browser", "--audio-track", "2"]
    )
    assert done.exit_code == 0
    assert done.stdout == "http://there/  (Ctrl-C to stop)\n"
    assert (called["recording"], called["port"], called["host"]) == (Path("video.mp4"), port, "127.0.0.1")
    assert called["limits"].max_seconds == 5
    assert (called["open_browser"], called["audio_track"]) == (False, 2)
    assert done.stderr == ""


def test_other_host_warns_and_share_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "serve", lambda recording, **settings: None)
    assert "no password" in CliRunner().invoke(app, ["ui", "--host", "0.0.0.0"]).stderr
    assert CliRunner().invoke(app, ["ui", "--share"]).exit_code == 2
