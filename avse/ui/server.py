"""Serve the page on this machine."""

from __future__ import annotations

import math
import os
import socket
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from avse.enhancement.validation import check_recording
from avse.errors import MissingError, UsageError
from avse.installation import install_hint
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
from avse.ui.access import OwnNamesOnly, own_names
from avse.ui.session import Studio
from avse.ui.workspace import temporary_workspace
from avse.weights.pretrained import load_model

LOCAL = "127.0.0.1"
PORT = 7860
MAX_WAITING = 20


def serve(
    recording: str | Path | None = None,
    *,
    model: str = "avse",
    device: str = "auto",
    audio_track: int | None = None,
    host: str = LOCAL,
    port: int = PORT,
    limits: Limits = DEFAULT_LIMITS,
    open_browser: bool = True,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve the page until Ctrl-C; uploads and results are then removed.

    Args:
        recording: opened at the start; None asks for an upload.
        audio_track: as in `avse.enhance`, for every recording that is opened.
        host: the address to listen on, an IPv6 address with or without brackets; any other than 127.0.0.1 and ::1 lets
            other machines connect.
        on_ready: called with the address of the page.

    Raises:
        UsageError: there is no such recording, or the port is taken. MissingError: Gradio is not installed.
    """
    given = Path(recording).absolute() if recording else None
    if given:
        check_recording(given)
    host = without_brackets(host)
    check_port(host, port)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with temporary_workspace() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
        try:
            with no_proxies():
                from avse.ui.page import Page
        except ImportError as error:
            raise MissingError(f"The page needs Gradio: {error}", install_hint("ui")) from error
        page = Page(Studio(load_model(model, device), folder, limits, audio_track), given)
        served = [str(path) for path in (folder / "served", given) if path]
        with no_proxies():
            url = _launch(page.blocks, host, port, limits, served)
        on_ready(url)
        if open_browser:
            webbrowser.open(url)
        try:
            Event().wait()
        finally:
            page.blocks.close(verbose=False)


def _theme() -> Any:
    """Return a theme with the system's own fonts, and with sufficient contrast for small text."""
    import gradio as gr

    system = ["system-ui", "sans-serif"]
    theme = gr.themes.Default(primary_hue="teal", font=system, font_mono=["ui-monospace", "monospace"])
    dark_teal, darker_teal, grey, light_grey = "#0b6e78", "#095a62", "#52525b", "#b4b4bd"
    return theme.set(
        button_primary_background_fill=dark_teal, button_primary_background_fill_dark=dark_teal,
        button_primary_background_fill_hover=darker_teal, button_primary_background_fill_hover_dark=darker_teal,
        body_text_color_subdued=grey, body_text_color_subdued_dark=light_grey,
        block_label_text_color=grey, block_label_text_color_dark=light_grey,
        block_title_text_color=grey, block_title_text_color_dark=light_grey,
        block_info_text_color=grey, block_info_text_color_dark=light_grey,
        slider_color=dark_teal, slider_color_dark=dark_teal,
        checkbox_background_color_selected=dark_teal, checkbox_background_color_selected_dark=dark_teal,
        link_text_color=dark_teal, link_text_color_dark="#55c5cd",
    )  # fmt: skip


@contextmanager
def no_proxies() -> Iterator[None]:
    """Ignore the proxies of the environment: Gradio asks the page itself whether it has started."""
    names = ("NO_PROXY", "no_proxy")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "*"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def without_brackets(host: str) -> str:
    """Return an IPv6 address without the brackets that it has in a URL; any other host as it is."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def check_port(host: str, port: int) -> None:
    """Raise UsageError for an address that this machine cannot listen on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
    except (OSError, UnicodeError) as error:  # a name may be one that cannot be encoded
        reason = getattr(error, "strerror", None) or "it is not an address"
        raise UsageError(
            f"The page cannot be served at {host}, port {port}: {reason}.", "Use another --port or --host."
        ) from error


def max_upload_bytes(limits: Limits) -> int | None:
    """Return the largest size of an upload in bytes; None for no limit."""
    num_bytes = limits.max_megabytes * 1e6
    return int(num_bytes) if math.isfinite(num_bytes) else None


def _launch(blocks: Any, host: str, port: int, limits: Limits, served: list[str]) -> str:
    """Start the server in a thread and return the address of the page."""
    from starlette.middleware import Middleware

    from avse.ui.render import part

    guard = Middleware(OwnNamesOnly, names=own_names(host))
    _, url, _ = blocks.queue(max_size=MAX_WAITING).launch(
        server_name=f"[{host}]" if ":" in host else host, server_port=port, inbrowser=False, share=False, quiet=True,
        prevent_thread_lock=True,
        allowed_paths=served, max_file_size=max_upload_bytes(limits), footer_links=[], run_history=False,
        enable_monitoring=False, ssr_mode=False, pwa=False, mcp_server=False, theme=_theme(), css=part("ui.css"),
        head=f"<script>{part('ui.js')}</script>", app_kwargs={"middleware": [guard]},
    )  # fmt: skip
    return str(url).replace("[::]", "[::1]")
