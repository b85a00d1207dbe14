"""A stand-in of the Hugging Face Hub on this machine: repositories of files, at one commit each."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import constants

COMMIT = "0123456789" * 4


class LocalHub:
    """Hold the files by repository, the requests that came, and what was pushed."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.requests: list[str] = []
        self.created: list[tuple[str, bool]] = []

    def create_repo(self, repository: str, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.created.append((repository, private))

    def create_commit(self, repository: str, operations: list[Any], commit_message: str, revision: Any) -> Any:
        held = self.files.setdefault(repository, {})
        for operation in operations:
            with operation.as_file() as file:
                held[operation.path_in_repo] = file.read()
        return SimpleNamespace(commit_url=f"http://hub/{repository}/commit/{COMMIT}")

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        repository, _, name = path.strip("/").partition("/resolve/main/")
        if repository not in self.files:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        data = self.files[repository].get(name)
        if data is None:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        return 200, {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}, data


@contextmanager
def local_hub(monkeypatch: pytest.MonkeyPatch, cache: str) -> Iterator[LocalHub]:
    """Serve a hub, to which `huggingface_hub` of this process turns, with its cache in a folder."""
    hub = LocalHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, data = hub.answer(self.path)
            if "/resolve/" in self.path:
                hub.requests.append(f"{self.command} {self.path}")
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *given: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", cache)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    yield hub
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()
