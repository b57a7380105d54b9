from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from llmops_sdk.ui._server import PageServer


class Page:
    """A real server on a free port, and a client that has its token."""

    def __init__(self, folder: Path, **options) -> None:
        self.token = secrets.token_urlsafe(18)
        self.folder = folder
        self.announced: list[str] = []
        given = {"token": self.token, "allow_hosts": (), "allow_remote": False, "read_only": False, "settings": None}
        given |= options
        if given["settings"] is None:
            del given["settings"]
        self.server = PageServer(folder, host="127.0.0.1", port=0, announce=self.announced.append, **given)
        self.url = f"http://127.0.0.1:{self.server.port}"
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()
        self.client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=30, trust_env=False
        )

    def get(self, path: str, **params):
        """Return the JSON of an answer."""
        answer = self.client.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object):
        return self.client.post(f"/api/v1/{path}", json=body, headers={"X-LLMOps": "1"})

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def open_page() -> Iterator:
    opened: list[Page] = []

    def open_one(folder: Path, **options) -> Page:
        opened.append(Page(folder, **options))
        return opened[-1]

    yield open_one
    for page in opened:
        page.close()


@pytest.fixture
def page(folder: Path, open_page) -> Page:
    return open_page(folder)
