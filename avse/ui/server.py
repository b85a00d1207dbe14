"""Serve the page on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from avse.enhancement.validation import check_recording
from avse.errors import MissingError, UsageError
from avse.io.ffmpeg import DEFAULT_LIMITS, Limits
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
    host: str = LOCAL,
    port: int = PORT,
    limits: Limits = DEFAULT_LIMITS,
    open_browser: bool = True,
    on_ready: Callable[[str], None] = lambda url: None,
    until: Event | None = None,
) -> None:
    """Serve the page until Ctrl-C, or until ``until`` is set; uploads and results are then removed.

    Args:
        recording: shown at once; None asks for an upload.
        host: the address to listen at. Anything but 127.0.0.1 lets other machines in.
        on_ready: called with the address of the page.

    Raises:
        UsageError: there is no such recording, or the port is taken. MissingError: Gradio is not installed.
    """
    given = Path(recording).absolute() if recording else None
    if given:
        check_recording(given)
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with temporary_workspace() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
        try:
            from avse.ui.page import Page
        except ImportError as error:
            raise MissingError(f"The page needs Gradio: {error}", "Type: pip install 'avse[ui]'") from error
        page = Page(Studio(load_model(model, device), folder, limits), given)
        url = _launch(page.blocks, host, port, limits, folder / "served", open_browser)
        on_ready(url)
        try:
            (until or Event()).wait()
        finally:
            page.blocks.close(verbose=False)


def _launch(blocks: Any, host: str, port: int, limits: Limits, served: Path, open_browser: bool) -> str:
    """Start the server in a thread and return the address of the page."""
    import gradio as gr

    from avse.ui.render import part

    system = ["system-ui", "sans-serif"]
    theme = gr.themes.Default(primary_hue="teal", font=system, font_mono=["ui-monospace", "monospace"])
    try:
        _, url, _ = blocks.queue(max_size=MAX_WAITING).launch(
            server_name=host, server_port=port, inbrowser=open_browser, share=False, quiet=True,
            prevent_thread_lock=True, allowed_paths=[str(served)], max_file_size=int(limits.max_megabytes * 1e6),
            footer_links=[], run_history=False, enable_monitoring=False, ssr_mode=False, pwa=False, mcp_server=False, theme=theme,
            css=part("ui.css"), head=f"<script>{part('ui.js')}</script>",
        )  # fmt: skip
    except OSError as error:
        raise UsageError(f"The page cannot be served at {host}, port {port}.", "Give another --port.") from error
    return str(url)
