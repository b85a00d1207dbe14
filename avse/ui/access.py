"""Refuse requests that another web site makes a visitor's browser send to the page.

The page has no password, so a site must not reach it by a name of its own (DNS rebinding), nor post to it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
REFUSAL = b"The request is for another name, or from another site. Start avse ui with --host NAME to use a name.\n"
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class OwnNamesOnly:
    """Answer 403 (ASGI) unless Host is an address or one of ``names``, and Origin, if there is one, is that host."""

    def __init__(self, app: App, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket") or is_own(scope["headers"], self._names):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": REFUSAL})


def own_names(host: str) -> frozenset[str]:
    """Return the names of the page that listens on ``host``: that, localhost and the names of this machine."""
    name = socket.gethostname().lower()
    names = {"localhost", host.lower(), name, f"{name.partition('.')[0]}.local"}
    if host not in LOCAL_HOSTS:  # this may ask a name server
        names.add(socket.getfqdn().lower())
    return frozenset(names)


def is_own(headers: list[tuple[bytes, bytes]], names: frozenset[str]) -> bool:
    """Return whether a request is for an address or one of the names, and from no other site."""
    hosts, origins = (
        [value.decode("latin-1") for key, value in headers if key.lower() == wanted] for wanted in (b"host", b"origin")
    )
    if len(hosts) != 1 or len(origins) > 1:
        return False
    scheme = origins[0].partition("://")[0] if origins else "http"
    host = _split(f"{scheme}://{hosts[0]}")
    return host is not None and _is_named(host[0], names) and (not origins or _split(origins[0]) == host)


def _is_named(host: str, names: frozenset[str]) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host in names
    return True


def _split(url: str) -> tuple[str, int | None] | None:
    """Return host and port of an address; None if it has none. The port of its scheme is the usual one."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return None
    return (host, port or DEFAULT_PORTS.get(parts.scheme)) if host else None
