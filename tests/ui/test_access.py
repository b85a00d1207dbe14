"""Other sites do not reach the page: not by a name of their own, and not by requests from their pages."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from avse.ui.access import OwnNamesOnly, own_names

OWN = [
    ("localhost:7860", None), ("127.0.0.1:7860", None), ("[::1]:7860", None), ("192.168.0.7:8080", None),
    ("LOCALHOST.:7860", None), ("studio.lan", None), (socket.gethostname(), None),
    ("localhost:8080", "http://localhost:8080"), ("[::1]:7860", "http://[::1]:7860"),
    ("studio.lan", "https://studio.lan"), ("studio.lan:443", "https://studio.lan"), ("studio.lan:80", "http://studio.lan"),
]  # fmt: skip
FOREIGN = [
    ("evil.example", None), ("localhost.evil.example:7860", None), ("127.0.0.1.evil.example", None), ("", None),
    ("[::1:7860", None), ("localhost:x", None), ("localhost:7860", "http://evil.example"),
    ("localhost:7860", "http://localhost:3000"), ("localhost:7860", "http://127.0.0.1:7860"),
    ("localhost:7860", "null"), ("localhost:7860", "http://localhost"), ("evil.example", "http://evil.example"),
]  # fmt: skip


def answers(host: str | None, origin: str | None, kind: str = "http") -> list[dict[str, Any]]:
    """What a page at studio.lan sends to a request."""
    sent: list[Any] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "page"})

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(key, value.encode()) for key, value in ((b"host", host), (b"origin", origin)) if value is not None]
    asyncio.run(OwnNamesOnly(page, own_names("studio.lan"))({"type": kind, "headers": headers}, send, send))  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(("host", "origin"), OWN)
def test_own_names_and_addresses_reach_the_page(host: str, origin: str | None) -> None:
    assert answers(host, origin) == [{"type": "page"}]


@pytest.mark.parametrize(("host", "origin"), [*FOREIGN, (None, None)])
def test_other_names_and_other_sites_are_refused(host: str | None, origin: str | None) -> None:
    start, _ = answers(host, origin)
    assert start["status"] == 403
    assert answers(host, origin, "websocket") == [{"type": "websocket.close", "code": 1008}]


def test_start_of_the_server_is_no_request() -> None:
    assert answers(None, None, "lifespan") == [{"type": "page"}]


def test_no_name_server_is_asked_for_a_page_of_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda: pytest.fail("a name server was asked"))
    assert "localhost" in own_names("127.0.0.1")
